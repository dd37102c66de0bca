"""A TLS certificate that cannot be served is refused before anything is touched, in one sentence."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from module_utils.host_readiness.certificates import certificate
from module_utils.host_readiness.findings import about_certificates, covers
from module_utils.host_readiness.model import Certificate, CertificateFiles, Host
from tests.templates import certificates

HUB = "hub.example.edu"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl here to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    certificates.authority(folder)
    certificates.certificate(folder, "hub", HUB, "*.hub.example.edu")
    certificates.certificate(folder, "other", "other.example")
    certificates.certificate(folder, "ended", HUB, days=-1)
    (folder / "nothing.pem").write_text("nothing")
    certificates.openssl(
        "rsa", "-aes256", "-passout", "pass:x", "-in", str(folder / "hub.key"), "-out", str(folder / "locked.key")
    )
    return folder


def read(folder: Path, chain: str, key: str) -> Certificate:
    return certificate(CertificateFiles(str(folder / chain), str(folder / key)))


def said(found: Certificate, *names: str, now: float | None = None) -> list[str]:
    host = Host(certificates=[found], now=time.time() if now is None else now)
    return [str(each).replace(str(Path(found.files.certificate).parent), "/tls")
            for each in about_certificates(host, names)]  # fmt: skip


RIGHT = "give the right files in edge_tls_certificates."
UNUSABLE = {
    "a key of another": ("hub.pem", "other.key", "/tls/other.key is the key of another certificate than /tls/hub.pem"),
    "no key": ("hub.pem", "nothing.pem", "/tls/nothing.pem holds no private key in PEM"),
    "the certificate for the key": ("hub.pem", "hub.pem", "/tls/hub.pem holds no private key in PEM"),
    "no certificate": ("nothing.pem", "hub.key", "/tls/nothing.pem holds no certificate in PEM"),
    "the key for the certificate": ("hub.key", "hub.key", "/tls/hub.key holds no certificate in PEM"),
    "a missing file": ("absent.pem", "hub.key", "/tls/absent.pem cannot be read (No such file or directory)"),
    "a missing key": ("hub.pem", "absent.key", "/tls/absent.key cannot be read (No such file or directory)"),
    "a key with a passphrase": ("hub.pem", "locked.key", "/tls/locked.key has a passphrase"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_files_that_no_server_could_use_are_named(folder, case):
    chain, key, words = UNUSABLE[case]
    assert said(read(folder, chain, key), HUB) == [f"{words}: {RIGHT}"]


def test_a_chain_that_begins_with_an_authority_is_told_as_that(folder):
    own = (folder / "hub.pem").read_text()
    chain = (folder / "ca.pem").read_text() + own[: own.index("-----END CERTIFICATE-----") + 26]
    (folder / "turned.pem").write_text(chain)
    assert said(read(folder, "turned.pem", "hub.key"), HUB) == [
        "/tls/turned.pem holds its certificate after those of authorities: put it first."
    ]
    assert said(read(folder, "turned.pem", "other.key"), HUB)[0].startswith("/tls/other.key is the key of another")


def test_an_address_of_ipv6_is_covered_however_it_is_written(folder):
    certificates.certificate(folder, "six", "2001:db8::1")
    six = read(folder, "six.pem", "six.key")
    assert six.names == ("2001:db8::1",)
    assert said(six, "[2001:DB8:0::1]") == []
    assert said(six, "[2001:db8::2]") != []


def test_a_certificate_that_covers_the_site_is_fine(folder):
    assert said(read(folder, "hub.pem", "hub.key"), HUB, "www.hub.example.edu", "HUB.example.edu.") == []


def test_one_that_has_ended_or_has_not_begun_is_refused(folder):
    (ended,) = said(read(folder, "ended.pem", "ended.key"), HUB)
    assert ended.startswith("/tls/ended.pem expired at ")
    assert said(read(folder, "hub.pem", "hub.key"), HUB, now=0) == [
        f"/tls/hub.pem is not valid yet: set the host's clock, or {RIGHT}"
    ]


def test_one_for_another_site_is_refused_and_one_without_a_site_to_cover(folder):
    other = read(folder, "other.pem", "other.key")
    assert said(other, HUB) == [
        (f"No certificate in edge_tls_certificates covers {HUB} (they cover other.example): give one that does, or "
         "correct edge_hosts."),
    ]
    assert said(other) == [
        "edge_tls_certificates is set and edge_hosts is not: name the site in edge_hosts, such as other.example."
    ]


def test_where_python_cannot_read_names_and_dates_haproxy_is_left_to_judge(folder):
    unread = replace(read(folder, "hub.pem", "hub.key"), names=None, begins=None, ends=None)
    assert said(unread, "any.example") == []


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (HUB, HUB, True), ("*.example.edu", HUB, True), ("*.example.edu", "example.edu", False),
        ("*.example.edu", "a.hub.example.edu", False), ("*", HUB, False), ("192.0.2.1", "192.0.2.1", True),
    ],
)  # fmt: skip
def test_a_star_is_one_whole_label(pattern, name, expected):
    assert covers(pattern, name) is expected
