"""Runs in Plone's image: what Plone writes when an editor, or a program, only reads a site.

Prints one JSON object, by the request: its status, and what it wrote: "nothing", "by reads" or "content".
"""

from __future__ import annotations

import json
import logging
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import transaction

from eduhub_plone import instance
from eduhub_plone.backup import pages, reads
from eduhub_plone.backup.make import Site
from eduhub_plone.settings import read

PASSWORD = "of this test alone"  # noqa: S105
ADMIN = {"HTTP_AUTHORIZATION": "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()}
HTML, JSON = {**ADMIN, "HTTP_ACCEPT": "text/html"}, {**ADMIN, "HTTP_ACCEPT": "application/json"}
# In this order: the second look at a form finds its lock, and the third a lock that is too old.
REQUESTS: list[tuple[str, dict[str, str]]] = [
    ("", HTML), ("/news-item", HTML), ("/news-item/edit", HTML), ("/news-item/edit ", HTML), ("/page/edit", HTML),
    ("/page", JSON), ("/image/edit", HTML), ("/image/view", HTML), ("/++add++Document", HTML),
    ("/folder_contents", HTML), ("/news-item/sharing", HTML), ("/news-item/@@historyview", HTML),
    ("/@@manage-portlets", HTML), ("/@@personal-information", HTML), ("/@@overview-controlpanel", HTML),
    ("/@@usergroup-userprefs", HTML), ("/search?SearchableText=news", HTML), ("/sitemap", HTML), ("/@types", JSON),
    ("/@controlpanels", JSON), ("/RSS", HTML),
]  # fmt: skip


class Plone:
    """A site in a database of its own, asked within this process."""

    def __init__(self, application: pages.Application, database: Path) -> None:
        self.application, self.database = application, database

    def said(self, path: str, headers: dict[str, str]) -> list[Any]:
        """Return how a request is answered, and what it wrote."""
        import Zope2  # noqa: PLC0415

        before = Zope2.DB.lastTransaction().hex()
        where, _, query = path.strip().partition("?")
        status, _, _ = pages.asked(self.application, f"/Plone{where}", QUERY_STRING=query, **headers)
        if Zope2.DB.lastTransaction().hex() == before:
            return [status, "nothing"]
        return [status, "content" if reads.written(self.database, before) else "by reads"]


def fill() -> None:
    """Make the items that are read."""
    import Zope2  # noqa: PLC0415
    from AccessControl.SecurityManagement import newSecurityManager, noSecurityManager  # noqa: PLC0415
    from plone.namedfile.file import NamedBlobImage  # noqa: PLC0415
    from Testing.makerequest import makerequest  # noqa: PLC0415
    from zope.component.hooks import setSite  # noqa: PLC0415

    pixel = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")
    app = makerequest(Zope2.app())
    newSecurityManager(None, app.acl_users.getUser("admin").__of__(app.acl_users))
    setSite(app.Plone)
    for kind, name in (("News Item", "news-item"), ("Document", "page"), ("Image", "image")):
        app.Plone.invokeFactory(kind, name, title=name)
    app.Plone.image.image = NamedBlobImage(data=pixel, filename="pixel.gif")
    transaction.commit()
    setSite(None)
    noSecurityManager()
    app._p_jar.close()


def age_locks() -> None:
    """Let every lock be an hour old."""
    import Zope2  # noqa: PLC0415

    app = Zope2.app()
    for item in app.Plone.objectValues():
        for lock in getattr(item, "wl_lockValues", list)():
            lock._modifiedtime -= 3600
    transaction.commit()
    app._p_jar.close()


def main() -> dict[str, Any]:
    """Ask for each."""
    folder = Path(tempfile.mkdtemp())
    instance.HOME = folder / "home"
    data = folder / "data"
    data.mkdir()
    environ = {"SITE": "Plone"}
    with pages.served(data, environ) as application:
        from eduhub_plone import zope  # noqa: PLC0415

        zope.prepare(PASSWORD, read(environ).site)
        logging.disable(logging.CRITICAL)
        fill()
        plone = Plone(application, Site(data).database)
        found = {path: plone.said(path, headers) for path, headers in REQUESTS}
        age_locks()
        found["/news-item with an old lock"] = plone.said("/news-item", HTML)
        found["/page with an old lock, as JSON"] = plone.said("/page", JSON)
        found["/page/edit, locked anew"] = plone.said("/page/edit", HTML)
        found["/page/@@manage-content-rules"] = plone.said("/page/@@manage-content-rules", HTML)
        return found


if __name__ == "__main__":
    print(json.dumps(main()))
