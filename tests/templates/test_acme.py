"""The way of an ACME challenge through HAProxy, and what certbot is told and says."""

from __future__ import annotations

import base64
import configparser
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.templates import certificates
from tests.templates.edge import Edge, Slot, free_ports
from tests.templates.render import render, value

HUB = "hub.example.edu"
SERVER = "https://acme.example/directory"
CHALLENGE = "/.well-known/acme-challenge/a-token"
EAB = {"edge_acme_eab_key_id": "kid", "edge_acme_eab": {"content": "c2VjcmV0Cg=="}}  # "secret" and a line's end
SAID = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details."""
DETAIL = """
Certbot failed to authenticate some domains (authenticator: standalone). The Certificate Authority reported these:
  Domain: hub.example.edu
  Type:   connection
  Detail: 192.0.2.1: Fetching http://hub.example.edu/: Connection refused

Hint: The Certificate Authority failed to download the challenge files from the temporary standalone webserver.
"""


class Certbot(http.server.BaseHTTPRequestHandler):
    """Answers as certbot's own server does while it asks for a certificate."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['Host']}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def certbot(port: int) -> Iterator[None]:
    with http.server.HTTPServer(("127.0.0.1", port), Certbot) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_the_challenge_is_answered_by_certbot_without_tls_and_nothing_else_is(tmp_path):
    certificates.authority(tmp_path / "ca")
    (tmp_path / "config/tls").mkdir(parents=True)
    chain, key = certificates.certificate(tmp_path / "ca", "hub", HUB)
    (tmp_path / "config/tls/acme.pem").write_bytes(chain.read_bytes())
    (tmp_path / "config/tls/acme.pem.key").write_bytes(key.read_bytes())
    edge = Edge(tmp_path)
    tls, acme = free_ports(2)
    given = {"edge_hosts": [HUB], "edge_acme_server": SERVER, "edge_acme_port": acme, "edge_tls_port": tls}
    path = edge.write(edge_acme_given={"stat": {"exists": True}}, **given)
    # All that asks here is local: let nothing be.
    path.write_text(path.read_text().replace("set-var(sess.local) src_is_local", "set-var(sess.local) bool(false)"))
    with edge.started(path):
        slot = Slot("blue", edge.folder / "run/blue/bridge.sock")
        nothing = edge.ask(CHALLENGE, Host=HUB)
        assert (nothing.status, "Nothing is here" in nothing.body) == (404, True)
        with certbot(acme):
            assert edge.ask(CHALLENGE, Host=HUB).body == f"{CHALLENGE} {HUB}"
            assert edge.ask(CHALLENGE, Host="evil.example").status == 421
            assert edge.ask("/.well-known/change-password", Host=HUB).status == 308
        slot.close()
        assert slot.seen == []


@pytest.mark.parametrize(("exists", "sent"), [(False, 0), (True, 1)])
def test_nobody_is_sent_to_tls_before_there_is_a_certificate(exists, sent):
    given = {"edge_hosts": [HUB], "edge_acme_server": SERVER, "edge_tls_hsts_seconds": 60}
    text = render("edge", "haproxy.cfg.j2", edge_acme_given={"stat": {"exists": exists}}, **given)
    found = [text.count(words) for words in ("redirect code 308", "Strict-Transport-Security", "ssl crt ")]
    assert found == [sent, sent, 1]


@pytest.mark.parametrize(("given", "found"), [
    ({"edge_acme_email": "web@example.edu"}, {"email": "web@example.edu", "no-eff-email": "true"}),
    (EAB, {"register-unsafely-without-email": "true", "eab-kid": "kid", "eab-hmac-key": "secret"}),
])  # fmt: skip
def test_certbot_is_told_all_in_a_file(given, found):
    parser = configparser.ConfigParser(interpolation=None)
    names = [HUB, "two.example.edu", "192.0.2.7", "[2001:db8::1]"]
    text = render("edge", "acme.ini.j2", edge_hosts=names, edge_acme_server=SERVER, **given)
    parser.read_string(f"[certbot]\n{text}")
    told = dict(parser["certbot"])
    assert found.items() <= told.items()
    assert (told["server"], told["domains"]) == (SERVER, f"{HUB},two.example.edu")
    assert told["deploy-hook"] == "/etc/eduhub/edge/acme-renewed"


@pytest.mark.parametrize(("said", "told"), [
    (DETAIL + SAID, "192.0.2.1: Fetching http://hub.example.edu/: Connection refused."),
    ("An unexpected error occurred:\nToo many certificates\n" + SAID,
     "An unexpected error occurred: Too many certificates."),
])  # fmt: skip
def test_of_a_refusal_the_operator_reads_what_the_server_said(said, told):
    assert value("_edge_acme_trouble", edge_acme_asked={"rc": 1, "stdout": said, "stderr": ""}) == told


def test_a_new_certificate_is_put_beside_its_key_and_served():
    text = render("edge", "acme-renewed.j2", eduhub_stack="two", edge_acme_server=SERVER)
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "set -e",
        "install -o root -g 10002 -m 0440 /etc/letsencrypt/live/two/fullchain.pem /etc/two/edge/tls/acme.pem",
        "install -o root -g 10002 -m 0440 /etc/letsencrypt/live/two/privkey.pem /etc/two/edge/tls/acme.pem.key",
        "exec /etc/two/timers/certificates",
    ]


@pytest.mark.parametrize(("asked", "same", "failed"), [
    ({"skipped": True}, True, False), ({"rc": 0}, False, False), ({"rc": 1}, False, True),
])  # fmt: skip
def test_what_was_asked_for_before_is_not_asked_for_again(asked, same, failed):
    before = {"content": base64.b64encode(b"abc" if same else b"another").decode()}
    given = {"edge_acme_before": before, "edge_acme_wanted": {"stat": {"checksum": "abc"}}, "edge_acme_asked": asked}
    assert (value("_edge_acme_same", **given), value("_edge_acme_failed", **given)) == (same, failed)
