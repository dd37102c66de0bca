"""What a security archive has, asked of mirrors on this machine: good, older, half synchronised, expired, gone."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from builder import Refusal, debian, security
from builder.security import Look, Update, is_newer, look, updates

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt and dpkg are Debian's")
DAY = 86400.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, counts the answers with content, and writes no log."""

    sent: list[str]

    def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
        if int(code) == 200:
            self.sent.append(self.path)

    def log_message(self, *_words: object) -> None:
        return


class Mirror:
    """A security archive of bookworm below `home`, served at `url`; `sent` are the files that were sent."""

    def __init__(self, home: Path, url: str, sent: list[str]) -> None:
        self.suite, self.url, self.sent = home / "dists/bookworm-security", url, sent
        self.published = time.time() - DAY / 24

    def publish(self, *, valid_days: float = 7, **versions: str) -> None:
        """Publish packages, name -> version, until `valid_days` from now."""
        lists = "".join(
            f"Package: {name}\nArchitecture: all\nVersion: {version}\nDescription: {name}\n more of it: nothing\n\n"
            for name, version in versions.items()
        ).encode()
        # Of every machine that may run this, apt asks for its own.
        names = [f"main/binary-{machine}/Packages" for machine in ("amd64", "arm64", "all")]
        now = time.time() - DAY * max(0, 1 - valid_days)
        lines = ["Origin: Debian", "Codename: bookworm-security", "Suite: stable-security", "Components: main"]
        lines += ["Architectures: amd64 arm64", f"Date: {formatdate(min(now, time.time() - 60), usegmt=True)}"]
        lines += [f"Valid-Until: {formatdate(time.time() + valid_days * DAY, usegmt=True)}", "SHA256:"]
        lines += [f" {hashlib.sha256(lists).hexdigest()} {len(lists)} {name}" for name in names]
        for name in names:
            (self.suite / name).parent.mkdir(parents=True, exist_ok=True)
            (self.suite / name).write_bytes(lists)
        (self.suite / "Release").write_text("\n".join(lines) + "\n")
        self.published += 1  # what is published later is newer, by the second in which HTTP tells times
        for path in (self.suite / "Release", *self.suite.glob("main/*/Packages")):
            os.utime(path, (self.published, self.published))


@pytest.fixture(autouse=True)
def plain_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let apt be as it is by itself, not as this machine has it (a proxy, expired archives taken), and slow."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hook = f'APT::Update::Post-Invoke {{"touch {tmp_path}/hook";}};'
    (tmp_path / "apt.conf").write_text(f'Dir::Etc::parts "/dev/null"; Dir::Etc::main "/dev/null";\n{hook}\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for name in ("MENTION_SECONDS", "ASKED_SECONDS", "SILENCE_SECONDS"):
        monkeypatch.setattr(security, name, 120)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror that this machine takes its security updates from; its key is trusted."""
    sent: list[str] = []
    handler = type("Handler", (Quiet,), {"sent": sent})
    home = tmp_path / "mirror"
    home.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(home))) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        line = f"deb [trusted=yes] {url} bookworm-security main"
        monkeypatch.setattr(debian, "security", lambda _suite: line)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Mirror(home, url, sent)
        server.shutdown()
        thread.join()


def test_an_update_is_a_newer_version_of_an_installed_package(mirror: Mirror) -> None:
    """Packages that are not installed, and those that Debian's main archive has newer, are none."""
    mirror.publish(zlib1g="1:1.2.13-1+deb12u1", libssl3="3.0.15-1~deb12u1", perl="5.36", tzdata="2025b-0+deb12u1")
    found = look("bookworm")
    packages = {"zlib1g": "1:1.2.13-1", "libssl3": "3.0.17-1~deb12u2", "tzdata": "2025b-0+deb12u1", "own": "1"}
    assert (found.trouble, updates(packages, found)) == ("", (Update("zlib1g", "1:1.2.13-1", "1:1.2.13-1+deb12u1"),))


def test_what_a_machine_runs_after_its_own_updates_is_not_run(mirror: Mirror, tmp_path: Path) -> None:
    """This is none: the lists of the machine stay as they are."""
    mirror.publish(zlib1g="1")
    assert look("bookworm").versions == {"zlib1g": "1"}
    assert not (tmp_path / "hook").exists()


def test_the_mirror_is_not_asked_again_within_hours(mirror: Mirror) -> None:
    """Each deployment looks; a converged one must not wait for a mirror."""
    mirror.publish(zlib1g="1")
    assert look("bookworm") == look("bookworm")
    sent = len(mirror.sent)
    mirror.publish(zlib1g="2")
    assert (look("bookworm").versions, len(mirror.sent)) == ({"zlib1g": "1"}, sent)


def test_who_asks_gets_an_answer_of_now_and_an_unchanged_list_is_not_sent_again(mirror: Mirror) -> None:
    """The request is conditional."""
    mirror.publish(zlib1g="1")
    look("bookworm")
    mirror.sent.clear()
    assert (look("bookworm", asked=True).versions, mirror.sent) == ({"zlib1g": "1"}, [])
    mirror.publish(zlib1g="2")
    assert look("bookworm", asked=True).versions == {"zlib1g": "2"}


def test_a_mirror_that_is_half_synchronised_is_not_believed(mirror: Mirror) -> None:
    """Its Packages are not those that its Release names: what it had before counts."""
    mirror.publish(zlib1g="1")
    before = look("bookworm")
    mirror.publish(zlib1g="2", perl="1")
    for listing in mirror.suite.glob("main/*/Packages"):
        listing.write_text("Package: zlib1g\nVersion: 3\n\n")
    after = look("bookworm", asked=True)
    assert after.versions == before.versions
    day = time.strftime("%Y-%m-%d", time.gmtime(before.seen))
    assert after.sentence.startswith("Security updates of bookworm could not be looked up (")
    assert after.sentence.endswith(f"); what it had on {day} counts.")


def test_an_expired_archive_is_not_believed(mirror: Mirror) -> None:
    """A mirror that stands still would keep updates from an image for ever."""
    mirror.publish(valid_days=-2, zlib1g="1")
    found = look("bookworm")
    assert ("expired" in found.trouble, found.versions, "none are known" in found.sentence) == (True, {}, True)


@pytest.mark.usefixtures("mirror")
def test_a_mirror_without_the_suite_is_named() -> None:
    """A Debian release that mirrors have dropped."""
    found = look("bookworm")
    assert ("404" in found.trouble, found.versions) == (True, {})


@pytest.mark.skipif(not Path(debian.KEYRING).exists(), reason="Debian's keys are not here")
def test_an_archive_that_debian_has_not_signed_is_not_believed(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """As apt does on any machine."""
    mirror.publish(zlib1g="1")
    line = f"deb [signed-by={debian.KEYRING}] {mirror.url} bookworm-security main"
    monkeypatch.setattr(debian, "security", lambda _suite: line)
    found = look("bookworm")
    assert ("is not signed" in found.trouble, found.versions) == (True, {})


def test_a_mirror_that_is_down_is_a_sentence_and_is_left_alone_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is no reason to stop, nor to wait for it each time."""
    monkeypatch.setattr(debian, "security", lambda _suite: "deb http://127.0.0.1:1 bookworm-security main")
    found = look("bookworm")
    assert ("onnect" in found.trouble, found.versions) == (True, {})
    monkeypatch.setattr(security, "_read", lambda *_words: pytest.fail("asked again"))
    assert look("bookworm") == found


def test_a_mirror_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look has a deadline of its own."""
    monkeypatch.setattr(security, "MENTION_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = f"deb http://127.0.0.1:{silent.getsockname()[1]} bookworm-security main"
        monkeypatch.setattr(debian, "security", lambda _suite: line)
        assert look("bookworm").trouble == "no answer within 0 s"


def test_without_a_security_mirror_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that has named one mirror alone has decided that; who asks for fresh images hears of it."""
    monkeypatch.setattr(debian, "security", lambda _suite: None)
    found = look("bookworm")
    assert (found.is_named, "EDUHUB_DEBIAN_SECURITY_MIRROR" in found.trouble) == (False, True)


def test_a_machine_that_is_no_debian_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images were made elsewhere."""

    def refuse(_suite: str) -> str:
        raise Refusal("No apt source names a Debian mirror.")

    monkeypatch.setattr(debian, "security", refuse)
    assert look("bookworm").trouble == "No apt source names a Debian mirror"


def test_a_damaged_memory_is_no_memory(mirror: Mirror, own_cache: Path) -> None:
    """The cache may be cut or of another version."""
    mirror.publish(zlib1g="1")
    look("bookworm")
    (kept,) = own_cache.glob("security/*.json")
    kept.write_text('{"suite": ')
    assert look("bookworm").versions == {"zlib1g": "1"}


def test_versions_are_compared_as_dpkg_does() -> None:
    """By number and epoch, with ~ before all."""
    assert is_newer("1.10", "1.9")
    assert is_newer("1:0.1", "9")
    assert not is_newer("1.0~rc1", "1.0")
    assert not is_newer("1.0", "1.0")


def test_a_look_that_went_well_has_no_sentence() -> None:
    """Silence is the usual case."""
    assert Look("bookworm", 1.0, 1.0).sentence == ""
