"""A Plone at an https address is trusted by the authority that the bridge is given, and by the public ones without."""

from __future__ import annotations

import socket
import ssl
import subprocess

import pytest

from eduhub_bridge.upstream import trust
from module_utils.host_readiness import upstream
from tests.unit.authority import Authority
from tests.unit.bridge.process import INTERPRETER, environment


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_the_certificate_of_a_private_authority_is_trusted_once_that_is_given(authority, start):
    with authority.server() as site:
        bridge = start(f"https://127.0.0.1:{site.port}/sites/Plone/", EDUHUB_PLONE_CA_FILE=str(authority.certificate))
        assert bridge.get("/health/ready").status == 200
        assert bridge.get("/plone/news").status == 200
        assert ("/sites/Plone/ok", f"127.0.0.1:{site.port}") in site.seen


def test_an_authority_below_a_root_is_trusted_where_it_is_given_alone(authority, start, tmp_path):
    lower = authority.below(tmp_path)
    with lower.server() as site:
        bridge = start(f"https://127.0.0.1:{site.port}/Plone", EDUHUB_PLONE_CA_FILE=str(lower.certificate))
        assert bridge.get("/health/ready").status == 200


def test_each_python_trusts_what_the_others_do(authority, monkeypatch):
    """The default of 3.13 refuses an authority without a key usage, as most are that an institution made itself."""
    made = ssl.create_default_context

    def as_of_313(**given):
        context = made(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_of_313)
    for module in (trust, upstream):
        context = module.trusting(authority.pem)
        assert context.verify_flags & ssl.VERIFY_X509_STRICT == 0
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        with authority.server() as site, socket.create_connection(("127.0.0.1", site.port)) as plain:
            context.wrap_socket(plain, server_hostname="127.0.0.1").close()


def test_an_untrusted_certificate_is_told_as_that(authority, start):
    with authority.server() as site:
        bridge = start(f"https://127.0.0.1:{site.port}/Plone")
        ready, page = bridge.get("/health/ready"), bridge.get("/plone/news")
    assert (ready.status, page.status) == (503, 502)
    for answer in (ready, page):
        assert b"Plone's certificate is not trusted: unable to get local issuer certificate." in answer.body


def test_a_file_without_a_certificate_is_refused_at_the_start(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("none")
    done = subprocess.run(
        [INTERPRETER, "-m", "eduhub_bridge"], capture_output=True, text=True, check=False,
        env=environment("https://cms.example.edu/Plone", EDUHUB_PLONE_CA_FILE=str(file)),
    )  # fmt: skip
    assert done.returncode == 2
    assert "EDUHUB_PLONE_CA_FILE holds no certificate in PEM" in done.stderr
