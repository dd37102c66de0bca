"""Renders a sample of a restored site with this image's Plone, to be compared with what another image renders.

The same backup and the same choice of pages: what then differs is the image.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from ..instance import lay_out
from ..settings import read
from .errors import BackupError
from .files import BLOBS, DATA_FS
from .migrate import migrate
from .sites import sites_in

Application = Callable[..., Iterable[bytes]]
# Of each type of content so many, and so many in all.
PER_TYPE, MOST = 3, 60
# What an editor wrote, which every version of Plone has to tell alike; others are added to and renamed.
CONTENT = (
    "@id", "@type", "UID", "id", "title", "description", "created", "effective", "expires", "start", "end", "subjects",
    "creators", "contributors", "rights", "review_state", "text", "blocks",
)
# What Plone puts in the place of a part of a page that it cannot render, in a page that has status 200.
BROKEN = b"error while rendering"


def rendered(scratch: Path, environ: Mapping[str, str], *, migrates: bool = False) -> dict[str, Any]:
    """Return what this image answers for a restored database: `pages`, and `migration` where it `migrates` it first.

    `pages`: for each request, such as "/Plone/news as JSON for admin", the answer in words that compare. The restored
    directory becomes the data of a Plone: it may be written. BackupError where Plone does not start, or cannot migrate.
    """
    data = scratch / "site"
    (data / DATA_FS).parent.mkdir(parents=True)
    (scratch / "Data.fs").rename(data / DATA_FS)
    (scratch / BLOBS).rename(data / BLOBS)
    with served(data, environ) as application:
        migration = migrate() if migrates else None
        # The administrator's own may have been changed in Plone: the scratch copy gets one of this run.
        password = secrets.token_urlsafe()
        administrator(password)
        pages = {request: answer for path in sample() for request, answer in answers(application, path, password)}
    return {"pages": pages, "migration": migration}


@contextmanager
def served(data: Path, environ: Mapping[str, str]) -> Iterator[Application]:
    """Yield this image's Plone on the database in `data`, in this process.

    BackupError where Plone does not start.
    """
    logging.disable(logging.CRITICAL)  # a start and a failed page tell much that belongs into no answer
    try:
        settings = replace(read(environ), processes=1)  # this one
        conf = lay_out(settings, data)
        # Imported late: it takes seconds, and Zope reads the environment that lay_out has set.
        from .. import zope  # noqa: PLC0415

        application = zope.start(str(conf), lambda: None)
    except Exception as error:  # whatever an add-on raises, and Refused
        why = f"Plone cannot be started on the restored backup: {type(error).__name__}: {error}."
        raise BackupError("plone_standby_failed", why) from error
    try:
        yield application
    finally:
        logging.disable(logging.NOTSET)
        zope.stop()


def administrator(password: str) -> None:
    """Give the administrator of the open database this password."""
    from .. import zope  # noqa: PLC0415

    zope.prepare(password, None)


def sample() -> list[str]:
    """Return the paths of the sites, and of the first items of each type of content, by their order.

    Of several sites in turn, so that a large one does not leave out the others.
    """
    import Zope2  # noqa: PLC0415
    from zope.component.hooks import setSite  # noqa: PLC0415

    found: list[list[str]] = []
    app = Zope2.app()
    try:
        for _, site in sites_in(app):
            setSite(site)
            brains = site.portal_catalog.getAllBrains()
            items = chosen((each.portal_type, each.getPath()) for each in brains)
            found.append(["/".join(site.getPhysicalPath()), *items])
    finally:
        setSite(None)
        app._p_jar.close()
    return mixed(found)[:MOST]


def mixed(lists: Sequence[Sequence[str]]) -> list[str]:
    """Return all that is in lists, each once: first the first of each, then the second of each."""
    return list(dict.fromkeys(each for row in zip_longest(*lists) for each in row if each is not None))


def chosen(items: Iterable[tuple[str, str]]) -> list[str]:
    """Return the paths of the first items of each type; a shallow item comes before what is in it."""
    types: dict[str, list[str]] = defaultdict(list)
    for kind, path in items:
        types[kind].append(path)
    return [
        path
        for kind in sorted(types)
        for path in sorted(types[kind], key=lambda each: (each.count("/"), each))[:PER_TYPE]
    ]


def answers(application: Application, path: str, password: str) -> Iterator[tuple[str, str]]:
    """Yield how a path is answered: as HTML to everybody and to the administrator, and as JSON to them."""
    token = base64.b64encode(f"admin:{password}".encode()).decode()
    admin = {"HTTP_AUTHORIZATION": f"Basic {token}"}
    yield f"{path} as HTML", told(*asked(application, path, HTTP_ACCEPT="text/html"))
    yield f"{path} as HTML for admin", told(*asked(application, path, HTTP_ACCEPT="text/html", **admin))
    yield f"{path} as JSON for admin", told(*asked(application, path, HTTP_ACCEPT="application/json", **admin))


def asked(application: Application, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Return status, media type and body of a GET. What the application does not catch is a 500 of that name."""
    environ: dict[str, Any] = {"PATH_INFO": path.encode().decode("latin-1"), **headers}
    setup_testing_defaults(environ)
    began: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        kind = {name.lower(): value for name, value in headers}.get("content-type", "")
        began[:] = [int(status[:3]), kind.partition(";")[0]]
        return lambda _: None

    try:
        parts = application(environ, start_response)
        try:
            body = b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()
    except Exception as error:  # whatever an add-on raises
        return 500, type(error).__name__, b""
    return began[0], began[1], body


def told(status: int, kind: str, body: bytes) -> str:
    """Return an answer in words that are the same for the same content.

    Pages have tokens and times in them, so of HTML only what could not be rendered counts. Of data all counts, but for
    the order of JSON's lists, some of which are sets. An item as JSON also has the digest of its CONTENT alone, by
    which versions of Plone are compared.
    """
    if status == 200 and kind == "application/json":
        found = json.loads(body)
        content = {name: found[name] for name in CONTENT if name in found} if isinstance(found, dict) else found
        return f"{status} {kind} {short(ordered(found).encode())} content {short(ordered(content).encode())}"
    if status == 200 and kind != "text/html":
        return f"{status} {kind} {short(body)}"
    broken = body.count(BROKEN)
    return f"{status} {kind}" + (f" with {broken} parts that cannot be rendered" if broken else "")


def short(content: bytes) -> str:
    """Return the beginning of a digest, which is enough to tell two answers apart."""
    return hashlib.sha256(content).hexdigest()[:12]


def ordered(value: Any) -> str:
    """Return a JSON value as text in which the order of keys and of lists is none of its own."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{ordered(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(ordered, value))) + "]"
    return json.dumps(value)
