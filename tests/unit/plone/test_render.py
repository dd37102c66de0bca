"""zope.conf and site.zcml for what the environment asks for."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from eduhub_plone.render import site_zcml, zope_conf
from eduhub_plone.settings import read


def conf(**environ: str) -> str:
    """Return zope.conf for these variables."""
    return zope_conf(read(environ), "/tmp/plone", "/data")  # noqa: S108 - a word in a text


def test_the_default_is_a_file_storage_on_the_volume() -> None:
    """Nothing is written outside /data, and templates of the instance come from /tmp."""
    expected = """\
instancehome /tmp/plone
clienthome /data/client
debug-mode off
security-policy-implementation C
verbose-security off
default-zpublisher-encoding utf-8

<dos_protection>
  form-memory-limit 4MB
  form-disk-limit 1GB
  form-memfile-limit 4KB
</dos_protection>

<zodb_db main>
  cache-size 50000
  mount-point /
  <filestorage>
    path /data/filestorage/Data.fs
    blob-dir /data/blobstorage
  </filestorage>
</zodb_db>
"""
    assert expected == conf()


def test_several_processes_have_the_files_by_zeo_and_the_blobs_in_common() -> None:
    """A ZEO client with a copy of its own would refuse the directory, whose layout is that of files."""
    text = conf(PROCESSES="2", LISTEN_SOCKET="/run/plone.sock")
    for line in (
        "server /data/client/zeo.sock", "server-sync on", "blob-dir /data/blobstorage", "shared-blob-dir on",
        "cache-size 16MB",
    ):  # fmt: skip
        assert f"\n    {line}\n" in text
    assert "filestorage" not in text


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, 12500), ({"ZODB_CACHE_SIZE": ""}, 12500), ({"ZODB_CACHE_SIZE": "900"}, 900)]
)
def test_several_processes_keep_together_what_one_would(environ: dict[str, str], expected: int) -> None:
    """Or the memory of a large site would grow with each process."""
    assert f"\n  cache-size {expected}\n" in conf(PROCESSES="4", LISTEN_SOCKET="/run/plone.sock", **environ)


def test_a_zeo_client_asks_the_server_before_it_reads() -> None:
    """Without server-sync, which `zeoclient` does not know, a client misses what another has just written."""
    text = conf(ZEO_ADDRESS="zeo:8100", ZEO_SHARED_BLOB_DIR="on")
    section = text[text.index("  %import ZEO") : text.index("</zodb_db>")]
    expected = """\
  %import ZEO
  <clientstorage>
    server zeo:8100
    storage 1
    name zeostorage
    server-sync on
    cache-size 128MB
    blob-dir /data/blobstorage
    shared-blob-dir on
    read-only off
    read-only-fallback off
  </clientstorage>
"""
    assert expected == section


def test_relstorage_has_its_dsn_inside() -> None:
    """The DSN goes into the adapter's own section, dollar signs doubled as ZConfig wants."""
    text = conf(RELSTORAGE_DSN="dbname='plone' password='a$b'", RELSTORAGE_KEEP_HISTORY="false")
    assert "    <postgresql>\n      dsn dbname='plone' password='a$$b'\n    </postgresql>\n  </relstorage>\n" in text
    assert "    keep-history false\n" in text
    assert "filestorage" not in text


def test_snippets_follow_the_configuration() -> None:
    """What an operator mounts into zope.conf.d is added at the end."""
    text = zope_conf(read({}), "/tmp/plone", "/data", ("<product-config x>\n</product-config>\n",))  # noqa: S108
    assert text.endswith("</zodb_db>\n\n<product-config x>\n</product-config>\n")


def test_values_of_zope_are_taken_over() -> None:
    """ZODB_CACHE_SIZE and its like reach the line they are meant for."""
    assert "\n  cache-size 1234\n" in conf(ZODB_CACHE_SIZE="1234")
    assert "\n  form-memory-limit 64MB\n" in conf(ZOPE_FORM_MEMORY_LIMIT="64MB")


def test_no_cors_leaves_zopes_own_site_zcml() -> None:
    """An instance without site.zcml uses Zope's: nothing is written then."""
    assert site_zcml(read({})) == ""


def test_a_cors_policy_is_well_formed_whatever_the_origin() -> None:
    """Quotes and ampersands in a value stay a value."""
    document = ET.fromstring(site_zcml(read({"CORS_ALLOW_ORIGIN": 'https://a.edu/?x="1"&y=<2>'})))  # noqa: S314
    policy = document.find("{http://namespaces.plone.org/plone}CORSPolicy")
    assert policy is not None
    assert policy.get("allow_origin") == 'https://a.edu/?x="1"&y=<2>'
    assert policy.get("allow_credentials") == "true"
