"""The edge ends TLS: real certificates, by HAProxy itself, renewed under load without a reload or a cut."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.commands import certificates as command
from eduhub_pilot.model.errors import ProxyDownError
from eduhub_pilot.model.settings import Settings
from eduhub_pilot.rollout.inspection import certificates_ending
from tests.templates import certificates
from tests.templates.edge import Edge, Slot, free_ports

pytestmark = pytest.mark.slow

HUB, OTHER = "hub.example.edu", "courses.example.edu"
HSTS = 31536000


@dataclass
class Site:
    folder: Path
    edge: Edge
    slot: Slot
    port: int
    proxy: Proxy

    def put(self, number: int, chain: Path, key: Path) -> None:
        """Bring a certificate to where HAProxy reads it, as role edge does."""
        tls = self.edge.folder / "config/tls"
        shutil.copy(chain, tls / f"{number}.pem")
        shutil.copy(key, tls / f"{number}.pem.key")

    def connect(
        self, name: str = HUB, alpn: tuple[str, ...] = ("http/1.1",), **versions: ssl.TLSVersion
    ) -> ssl.SSLSocket:
        """Return a TLS connection that trusts the test's authority and asks for `name`."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca/ca.pem"))
        context.set_alpn_protocols(list(alpn))
        for which, version in versions.items():
            setattr(context, which, version)
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        return context.wrap_socket(plain, server_hostname=name)

    def get(self, name: str = HUB, host: str | None = None) -> HTTPResponse:
        """Return the answer to a request by TLS."""
        with self.connect(name) as connection:
            return self.ask(connection, host or name)

    def ask(self, connection: ssl.SSLSocket, host: str) -> HTTPResponse:
        connection.sendall(f"GET /x?y HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = HTTPResponse(connection)
        answer.begin()
        answer.read()
        return answer

    def serial(self, name: str = HUB) -> str:
        with self.connect(name) as connection:
            return str(connection.getpeercert()["serialNumber"])  # type: ignore[index]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    certificates.authority(folder / "ca")
    edge = Edge(folder / "edge")
    (edge.folder / "config/tls").mkdir(parents=True)
    (port,) = free_ports(1)
    made = Site(folder, edge, None, port, Proxy(edge.folder / "run/edge/admin.sock"))  # type: ignore[arg-type]
    made.put(0, *certificates.certificate(folder / "ca", "hub", HUB, "*.hub.example.edu"))
    made.put(1, *certificates.certificate(folder / "ca", "other", OTHER))
    given = {
        "edge_hosts": [HUB, OTHER], "edge_tls_certificates": [{"certificate": "/a", "key": "/b"}] * 2,
        "edge_tls_port": port, "edge_tls_hsts_seconds": HSTS,
    }  # fmt: skip
    with edge.running(**given):
        made.slot = Slot("blue", edge.folder / "run/blue/bridge.sock")
        yield made
        made.slot.close()


@pytest.mark.parametrize("name", [HUB, OTHER])
def test_each_name_has_its_certificate_and_its_answer_says_that_it_stays_with_tls(site, name):
    answer = site.get(name)
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, f"max-age={HSTS}")
    assert (site.slot.headers["X-Forwarded-Proto"], site.slot.headers["X-Forwarded-Host"]) == ("https", name)


def test_a_name_that_is_not_the_sites_is_refused_by_tls_too(site):
    assert site.get(HUB, host="evil.example").status == 421


def test_http_2_is_offered_with_room_for_uploads_over_long_lines(site):
    with site.connect(alpn=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        received = connection.makefile("rb")
        head = received.read(9)
        assert head[3] == 4  # SETTINGS (RFC 9113, 6.5)
        settings = dict(struct.iter_unpack("!HI", received.read(int.from_bytes(head[:3]))))
        assert settings[4] == 1 << 20  # SETTINGS_INITIAL_WINDOW_SIZE


def test_a_connection_without_a_request_is_closed_without_an_answer(site):
    with socket.create_connection(("127.0.0.1", site.edge.ports["edge_port"]), 60) as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize(("version", "spoken"), [("TLSv1_1", None), ("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")])
def test_only_tls_1_2_and_1_3_are_spoken(site, version, spoken):
    wanted = getattr(ssl.TLSVersion, version)
    try:
        with site.connect(minimum_version=wanted, maximum_version=wanted) as connection:
            found = connection.version()
    except (ssl.SSLError, ConnectionError):
        found = None
    assert found == spoken


def test_a_proxy_and_the_hosts_own_checks_need_no_tls(site):
    assert site.edge.ask().status == 200


def test_others_are_sent_to_tls(tmp_path):
    certificates.authority(tmp_path / "ca")
    edge = Edge(tmp_path)
    (edge.folder / "config/tls").mkdir(parents=True)
    chain, key = certificates.certificate(tmp_path / "ca", "hub", HUB)
    shutil.copy(chain, edge.folder / "config/tls/0.pem")
    shutil.copy(key, edge.folder / "config/tls/0.pem.key")
    given = {"edge_hosts": [HUB], "edge_tls_certificates": [{"certificate": "/a", "key": "/b"}]}
    (port,) = free_ports(1)
    path = edge.write(edge_tls_port=port, **given)
    # All that asks here is local: let nothing be.
    path.write_text(path.read_text().replace("set-var(sess.local) src_is_local", "set-var(sess.local) bool(false)"))
    with edge.started(path):
        connection = HTTPConnection("127.0.0.1", edge.ports["edge_port"], timeout=60)
        connection.request("POST", "/plone/x?y=1", headers={"Host": f"{HUB}:80"})
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["Location"]) == (308, f"https://{HUB}:{port}/plone/x?y=1")
        assert edge.ask(Host="evil.example").status == 421
        assert edge.ask("/health/host", Host="evil.example").body == "down"  # nor is a balancer sent to TLS


def test_a_balancer_is_told_of_the_host_by_tls_and_without(site):
    def told(connection: ssl.SSLSocket | socket.socket) -> tuple[bytes, bytes]:
        with connection:
            connection.sendall(b"GET /health/host HTTP/1.0\r\n\r\n")
            head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
        return head.split()[1], body

    plain = socket.create_connection(("127.0.0.1", site.edge.ports["edge_port"]), 60)
    assert [told(each) for each in (site.connect(), plain)] == [(b"200", b"up")] * 2


def test_a_renewed_certificate_is_served_at_once_and_no_connection_is_cut(site):
    before, loaded = site.serial(), site.edge.tell("show info")
    open_before = site.connect()
    assert site.ask(open_before, HUB).status == 200
    stop, failed, asked = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                asked.append(site.get().status)
            except OSError as error:
                failed.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    chain, key = certificates.certificate(site.folder / "ca", "renewed", HUB)
    file = f"{site.edge.folder}/config/tls/0.pem"
    site.proxy.replace_certificate(file, chain.read_text() + "\n" + key.read_text(), 2)
    after = site.serial()
    stop.set()
    loading.join()
    assert (failed, set(asked), len(asked) > 2) == ([], {200}, True)
    assert after != before
    assert site.ask(open_before, HUB).status == 200
    pid = [line for line in loaded.splitlines() if line.startswith("Pid:")]
    assert pid == [line for line in site.edge.tell("show info").splitlines() if line.startswith("Pid:")]
    served = {each.file: each for each in site.proxy.certificates(2)}
    der = ssl.PEM_cert_to_DER_cert(command.first(chain.read_text()))
    assert served[file].fingerprint == hashlib.sha1(der, usedforsecurity=False).hexdigest()


def test_a_key_of_another_certificate_is_refused_and_the_old_one_is_served_on(site):
    before = site.serial(OTHER)
    chain, _ = certificates.certificate(site.folder / "ca", "one", OTHER)
    _, key = certificates.certificate(site.folder / "ca", "two", OTHER)
    with pytest.raises(ProxyDownError, match="did not take"):
        site.proxy.replace_certificate(f"{site.edge.folder}/config/tls/1.pem", chain.read_text() + key.read_text(), 0)
    assert site.serial(OTHER) == before


class Clocked:
    """A host at another time, as far as these notes need one."""

    settings = Settings("eduhub", Path(), {}, "")

    def __init__(self, proxy: Proxy, days: float) -> None:
        self.proxy, self.clock = proxy, self
        self._days = days

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._days)


@pytest.mark.parametrize(("days", "words"), [(50, []), (61, ["ends in 28 days"] * 2), (91, ["has ended already"] * 2)])
def test_status_notes_a_certificate_thirty_days_before_its_end(site, days, words):
    notes = certificates_ending(Clocked(site.proxy, days), 2)  # type: ignore[arg-type]
    assert [each.code for each in notes] == ["certificate_ends"] * len(words)
    assert all(word in note.message for word, note in zip(words, notes, strict=True))


def test_the_command_serves_what_changed_on_the_disk_and_says_so_once(site, monkeypatch):
    monkeypatch.setattr(command, "CONFIG", site.edge.folder / "config")
    noted: list[object] = []

    class Here(Clocked):
        settings = replace(Settings("eduhub", site.folder, {}, ""), config=site.edge.folder / "config")

        def note(self, *words: object, **more: object) -> None:
            noted.append((words, more))

    site.put(1, *certificates.certificate(site.folder / "ca", "newer", OTHER))
    site.put(0, *certificates.certificate(site.folder / "ca", "newest", HUB))
    answers = [command.certificates(Here(site.proxy, 0)) for _ in range(2)]  # type: ignore[arg-type]
    assert [(each.code, each.changed) for each in answers] == [
        ("certificates_replaced", True), ("certificates_unchanged", False),
    ]  # fmt: skip
    assert len(noted) == 1
