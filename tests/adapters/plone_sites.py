"""Runs in Plone's image: which sites of a database are found, in folders of Zope at any depth.

Prints one JSON object: `zope` as a migration finds them, `sites` and `items` as a backup counts them; `proven` whether
a restored database fits what this release counts, what an earlier one did, and one with a site that is not there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import transaction
from OFS.Application import Application
from OFS.Folder import Folder
from OFS.OrderedFolder import OrderedFolder
from OFS.SimpleItem import SimpleItem
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from eduhub_plone.backup import database as zodb
from eduhub_plone.backup import prove
from eduhub_plone.backup.errors import DamagedError
from eduhub_plone.backup.sites import sites_in


class Site(Folder):
    """What Zope takes for a site."""

    meta_type = "Plone Site"


def site(name: str, items: int) -> Site:
    """Return a site with a catalog of so many items."""
    made = Site(name)
    vars(made)["_plone.uuid"] = f"uuid of {name}"
    made._setOb("portal_catalog", Catalog(items))
    return made


class Catalog(SimpleItem):
    """A catalog of a site."""

    def __init__(self, items: int) -> None:
        self._catalog = SimpleNamespace(uids=list(range(items)))


def of_an_add_on(name: str) -> Any:
    """Return a folder of a class that `sys.modules` has to have."""
    kind = type("Gone", (Folder,), {"__module__": "addon"})
    sys.modules["addon"] = ModuleType("addon")
    vars(sys.modules["addon"])["Gone"] = kind
    return kind(name)


def put(folder: Any, item: Any) -> Any:
    """Put an item in a folder, and return it there."""
    folder._setObject(item.getId(), item)
    return folder._getOb(item.getId())


def proven(path: Path, manifest: Any) -> bool:
    """Return whether a database has what a backup counts."""
    try:
        prove.check_contents(path, path.parent / "blobs", manifest)
    except DamagedError:
        return False
    return True


def main() -> dict[str, Any]:
    """Make the database, and look."""
    path = Path(tempfile.mkdtemp()) / "Data.fs"
    database = DB(FileStorage(str(path)))
    connection = database.open()
    app = connection.root()["Application"] = Application()
    put(app, site("Plone", 3))
    departments = put(app, Folder("departments"))
    put(departments, site("physics", 2))
    put(put(put(departments, OrderedFolder("more")), BTreeFolder2("large")), site("deep", 1))
    put(app, of_an_add_on("gone"))
    put(app._getOb("Plone"), Folder("news"))
    put(app._getOb("Plone")._getOb("news"), site("within", 1))  # of the site itself
    transaction.commit()
    del sys.modules["addon"]
    connection.cacheMinimize()
    found = {"zope": sorted(name for name, _ in sites_in(app))}
    connection.close()
    database.close()
    with zodb.opened(path) as storage:
        contents = zodb.contents(storage, storage.lastTransaction(), lambda *_: True)
    manifest = {
        "id": "b1", "size": path.stat().st_size, "missing": [], "counts": contents.counts, "sites": contents.sites,
        "last_transaction": contents.last_transaction,
    }  # fmt: skip
    older = {**manifest, "counts": {**contents.counts, "items": {"Plone": 3}}, "sites": {"Plone": "uuid of Plone"}}
    lost = {**manifest, "sites": {**contents.sites, "departments/history": "uuid of history"}}
    return {**found, "sites": contents.sites, "items": contents.items,
            "proven": [proven(path, each) for each in (manifest, older, lost)]}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main()))
