"""The instance home as text: zope.conf and, for CORS, site.zcml. Pure: it returns what is to be written."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from .backup.files import ZEO_SOCKET
from .settings import ZEO, Settings, values

ZOPE_CONF = """\
instancehome {home}
clienthome {data}/client
debug-mode {DEBUG_MODE}
security-policy-implementation {SECURITY_POLICY_IMPLEMENTATION}
verbose-security {VERBOSE_SECURITY}
default-zpublisher-encoding {DEFAULT_ZPUBLISHER_ENCODING}

<dos_protection>
  form-memory-limit {ZOPE_FORM_MEMORY_LIMIT}
  form-disk-limit {ZOPE_FORM_DISK_LIMIT}
  form-memfile-limit {ZOPE_FORM_MEMFILE_LIMIT}
</dos_protection>

<zodb_db main>
  cache-size {ZODB_CACHE_SIZE}
  mount-point /
{storage}
</zodb_db>
"""

CORS_ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:plone="http://namespaces.plone.org/plone">
  <include package="Zope2.utilities" file="skel/etc/site.zcml" />
  <plone:CORSPolicy
{attributes}
      />
</configure>
"""


def zope_conf(settings: Settings, home: str, data: str, snippets: tuple[str, ...] = ()) -> str:
    """Return zope.conf for an instance home and the data volume; `snippets` are added at its end."""
    fields = {name: literal(text) for name, text in settings.zope.items()}
    text = ZOPE_CONF.format(home=home, data=data, storage=storage(settings, data), **fields)
    return "\n".join((text, *snippets))


def storage(settings: Settings, data: str) -> str:
    """Return the storage section: RelStorage, ZEO, or files in `data`, the first that is asked for.

    Several processes have the files by a ZEO server of their container, and the directory of blobs in common with it.
    """
    if settings.relstorage:
        return relstorage(settings.relstorage, data)
    if settings.zeo:
        return zeo(settings.zeo, data)
    if settings.processes > 1:
        # What an object costs to ask for again in the same container is little; the cache lies in memory: processes.py.
        own = {"ZEO_ADDRESS": f"{data}/{ZEO_SOCKET}", "ZEO_SHARED_BLOB_DIR": "on", "ZEO_CLIENT_CACHE_SIZE": "16MB"}
        return zeo({**values(own, ZEO), **own}, data)
    return section("filestorage", {"path": f"{data}/filestorage/Data.fs", "blob-dir": f"{data}/blobstorage"})


def zeo(values: dict[str, str], data: str) -> str:
    """Return a ZEO client. `clientstorage`, because `zeoclient` has no server-sync: without it a client may
    not see what another has just written.
    """
    keys = {
        "server": literal(values["ZEO_ADDRESS"]),
        "storage": literal(values["ZEO_STORAGE"]),
        "name": "zeostorage",
        "server-sync": "on",
        "cache-size": values["ZEO_CLIENT_CACHE_SIZE"],
        "blob-dir": f"{data}/blobstorage",
        "shared-blob-dir": values["ZEO_SHARED_BLOB_DIR"],
        "read-only": values["ZEO_READ_ONLY"],
        "read-only-fallback": values["ZEO_CLIENT_READ_ONLY_FALLBACK"],
    }
    return "  %import ZEO\n" + section("clientstorage", keys)


def relstorage(values: dict[str, str], data: str) -> str:
    """Return a PostgreSQL storage, blobs in the database and cached in `data`."""
    options = {name[len("RELSTORAGE_") :]: text for name, text in values.items()}
    dsn = options.pop("DSN")
    keys = {name.lower().replace("_", "-"): literal(text) for name, text in options.items()}
    keys["blob-dir"] = f"{data}/blobstorage"
    inner = section("postgresql", {"dsn": literal(dsn)}, indent="    ")
    return "  %import relstorage\n" + section("relstorage", keys, inner)


def section(name: str, keys: dict[str, str], inner: str = "", indent: str = "  ") -> str:
    """Return a ZConfig section with its keys, and sections inside it."""
    lines = [f"{indent}  {key} {text}" for key, text in keys.items()]
    return "\n".join([f"{indent}<{name}>", *lines, *([inner] if inner else []), f"{indent}</{name}>"])


def literal(text: str) -> str:
    """Return a value that ZConfig takes as it is: a dollar sign would name a definition."""
    return text.replace("$", "$$")


def site_zcml(settings: Settings) -> str:
    """Return Zope's own site.zcml with the CORS policy added; empty when none is asked for."""
    names = {name[len("CORS_") :].lower(): text for name, text in settings.cors.items()}
    attributes = "\n".join(f"      {name}={quoteattr(text)}" for name, text in names.items())
    return CORS_ZCML.format(attributes=attributes) if settings.cors else ""
