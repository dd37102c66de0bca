"""The institution's own Plone is asked as the bridge will ask it, and whatever is wrong with its address is named."""

from __future__ import annotations

import pytest

from module_utils.host_readiness.findings import findings
from module_utils.host_readiness.model import Host, Requirements
from module_utils.host_readiness.observe import answered
from module_utils.host_readiness.upstream import Upstream, wrong_address
from tests.unit.ansible.played import played
from tests.unit.authority import Authority, Site


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def asking(upstream: Upstream) -> list[tuple[str, str]]:
    host = Host(engine="20.10.24", plone=answered(upstream))
    # A test's server has no other address than the loopback one, which is refused for a slot.
    return [(each.code, str(each)) for each in findings(host, Requirements("eduhub", plone=upstream))]


@pytest.fixture
def _reachable(monkeypatch):
    monkeypatch.setattr("module_utils.host_readiness.upstream._loopback", lambda _: False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("cms.example.edu", "is no http or https address"),
        ("ftp://cms.example.edu/Plone", "is no http or https address"),
        ("http://[::1/Plone", "is no address"),
        ("http://cms.example.edu:x/Plone", "is no address"),
        ("http://ana:secret@cms.example.edu/Plone", "holds a user name"),
        ("http://cms.example.edu/Plone?x=1", "holds a query or fragment"),
        ("http://cms.example.edu/Plone#x", "holds a query or fragment"),
        ("http://cms.example.edu/", "names no site"),
        ("http://cms.example.edu/VirtualHostBase/http/x:80/Plone/VirtualHostRoot", "holds a rewrite rule"),
        ("http://127.0.0.1:8080/Plone", "is the loopback address"),
        ("http://localhost:8080/Plone", "is the loopback address"),
        ("http://[::1]:8080/Plone", "is the loopback address"),
        ("http://0.0.0.0/Plone", "is the loopback address"),
    ],
)
def test_an_address_that_no_slot_can_use_is_refused_without_being_repeated(url, reason):
    assert (wrong_address(url) or "").startswith(reason)
    ((code, message),) = asking(Upstream(url))
    assert (code, "secret" in message) == ("plone_address_unusable", False)
    assert message.startswith(f"plone_url {reason}")


@pytest.mark.parametrize(
    "url", ["http://cms.example.edu:8080/Plone", "https://cms.example.edu/sites/Plone/", "http://10.1.2.3/Plone"]
)
def test_path_port_and_trailing_slash_are_fine(url):
    assert wrong_address(url) is None


@pytest.mark.usefixtures("_reachable")
def test_a_certificate_of_a_private_authority_is_trusted_once_that_is_given(authority):
    with authority.server() as site:
        url = f"https://127.0.0.1:{site.port}/sites/Plone/"
        assert asking(Upstream(url, ca=authority.pem, page="ok")) == []
        assert site.seen == [("/sites/Plone/ok", f"127.0.0.1:{site.port}")]
        ((code, message),) = asking(Upstream(url, page="ok"))
    assert code == "plone_untrusted"
    assert f"The certificate of Plone at {url} is not trusted (unable to get local issuer certificate" in message
    assert "subject CN=cms.example.edu,O=Campus, issuer CN=Campus Root CA,O=Campus)" in message
    assert message.endswith("set plone_ca_file to the certificate of the authority that signed it.")


@pytest.mark.usefixtures("_reachable")
def test_a_certificate_for_another_name_is_told_as_that(authority):
    with authority.server("DNS:other.example.edu") as site:
        ((code, message),) = asking(Upstream(f"https://127.0.0.1:{site.port}/Plone", ca=authority.pem))
    assert (code, "set plone_url to a name that the certificate holds" in message) == ("plone_untrusted", True)


@pytest.mark.usefixtures("_reachable")
def test_a_file_without_a_certificate_is_named(authority):
    with authority.server() as site:
        ((code, _),) = asking(Upstream(f"https://127.0.0.1:{site.port}/Plone", ca="no certificate"))
    assert code == "plone_ca_unusable"


@pytest.mark.usefixtures("_reachable")
@pytest.mark.parametrize(
    ("status", "page", "code"),
    [(200, "ok", []), (404, "", []), (404, "ok", ["plone_site_missing"]), (503, "ok", ["plone_unreachable"])],
)
def test_the_page_that_readiness_asks_has_to_answer_200(status, page, code):
    with Site(status=status) as site:
        found = asking(Upstream(f"http://127.0.0.1:{site.port}/Plone", page=page))
    assert [each for each, _ in found] == code


@pytest.mark.usefixtures("_reachable")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/Plone", "cannot be reached (connection refused)"),
        ("http://cms.invalid/Plone", "has a name that this host cannot resolve (cms.invalid)"),
    ],
)
def test_a_plone_that_does_not_answer_is_named_with_the_reason(url, words):
    assert asking(Upstream(url)) == [
        ("plone_unreachable", f"Plone at {url} {words}: start it, or correct plone_url.")
    ]


@pytest.mark.usefixtures("_reachable")
def test_https_at_a_port_without_tls_is_told_as_that():
    with Site() as site:
        ((_, message),) = asking(Upstream(f"https://127.0.0.1:{site.port}/Plone"))
    assert "did not speak TLS" in message


def test_played_by_ansible_it_names_the_certificate(authority):
    with authority.server() as site:
        plone = {"url": f"https://ip6-loopback.invalid:{site.port}/Plone", "ca": authority.pem, "page": "ok"}
        answer = played("host_readiness", stack="eduhub-absent", engine_required=False, plone=plone)
    assert [each["code"] for each in answer["findings"]].count("plone_unreachable") == 1
