"""Runs in Plone's image: whether writes to a database count as what Plone writes when it is only read.

Prints one JSON object: by what was written, whether it did.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transaction
from AccessControl.users import nobody
from BTrees.OOBTree import OOBTree
from DateTime import DateTime
from OFS.Lockable import LockableItem
from OFS.LockItem import LockItem
from persistent import Persistent
from persistent.dict import PersistentDict
from plone.contentrules.engine.assignments import RuleAssignment, RuleAssignmentManager
from plone.locking.interfaces import STEALABLE_LOCK
from plone.portlets.settings import PortletAssignmentSettings
from plone.scale.storage import ScalesDict
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64

from eduhub_plone.backup import database as zodb
from eduhub_plone.backup.reads import only_by_reads

KEY = "__annotations__"


class Item(LockableItem, Persistent):
    """Content, of a class that the judge cannot import."""

    def __init__(self) -> None:
        self.title, self.changed, self.subjects = "An image", DateTime("2026-12-01 12:00 UTC"), ["river"]


class Image(Persistent):
    """An image with its file."""

    def __init__(self, data: bytes) -> None:
        self.blob = Blob(data)


def scale(item: Any, uid: str = "image-400-1") -> None:
    """Keep a scale as plone.scale does."""
    if KEY not in vars(item):
        setattr(item, KEY, OOBTree())
    annotations = getattr(item, KEY)
    if not isinstance(annotations.get("plone.scale"), ScalesDict):
        annotations["plone.scale"] = ScalesDict(annotations.get("plone.scale", {}))
    annotations["plone.scale"][uid] = {"uid": uid, "data": Image(b"small")}


def shown(item: Any) -> None:
    """Keep the settings of a portlet as plone.portlets does when it first shows it."""
    if KEY not in vars(item):
        setattr(item, KEY, OOBTree())
    getattr(item, KEY)["plone.portlets.assignmentsettings"] = PortletAssignmentSettings()


def lock(item: Any, age: float = 0) -> None:
    """Lock an item as plone.locking does for an edit form, `age` seconds ago."""
    if KEY not in vars(item):
        setattr(item, KEY, OOBTree())
    held = LockItem(nobody, timeout=600)
    held._modifiedtime -= age
    item.wl_setLock(held.getLockToken(), held)
    kinds = getattr(item, KEY).setdefault("plone.locking", PersistentDict())
    kinds[STEALABLE_LOCK.__name__] = {"type": STEALABLE_LOCK, "token": held.getLockToken()}


def looked_at(item: Any) -> None:
    """Look at an item as an editor does, for whom Plone removes locks that are too old."""
    assert not item.wl_lockmapping(killinvalids=1)


def refreshed(item: Any) -> None:
    """Refresh the locks of an item."""
    for each in item.wl_lockmapping().values():
        each.refresh()


def unlocked(item: Any) -> None:
    """Unlock an item as plone.locking does for a form that is left."""
    item.wl_clearLocks()
    getattr(item, KEY)["plone.locking"].clear()


def locked_and_titled(root: Any) -> None:
    """Lock an item, and write its title at once."""
    lock(root["bare"])
    root["bare"].title = "Another"


def locked_and_annotated(root: Any) -> None:
    """Write another annotation beside the first lock of an item."""
    lock(root["bare"])
    getattr(root["bare"], KEY)["collective.counter"] = PersistentDict()


def in_place_of_a_lock(root: Any) -> None:
    """Put content where a mapping has locks."""
    root["expired"].wl_lockmapping()["content"] = Item()


def opened(item: Any) -> None:
    """Keep the content rules of an item as plone.contentrules does when their page is first opened."""
    if KEY not in vars(item):
        setattr(item, KEY, OOBTree())
    getattr(item, KEY)["plone.contentrules.localassignments"] = RuleAssignmentManager()


def ruled(item: Any) -> None:
    """Assign a content rule to an item."""
    getattr(item, KEY)["plone.contentrules.localassignments"]["rule-1"] = RuleAssignment("rule-1")


def unruled(item: Any) -> None:
    """Take the content rule of an item away."""
    del getattr(item, KEY)["plone.contentrules.localassignments"]["rule-1"]


def hidden(root: Any) -> None:
    """Hide a portlet, which was shown or not."""
    if "plone.portlets.assignmentsettings" not in getattr(root["bare"], KEY, {}):
        shown(root["bare"])
    getattr(root["bare"], KEY)["plone.portlets.assignmentsettings"].data["visible"] = False


def hidden_again(root: Any) -> None:
    """Hide a portlet that was shown before the backup."""
    getattr(root["portlet"], KEY)["plone.portlets.assignmentsettings"].data["visible"] = False


def titled(root: Any) -> None:
    """Change a title."""
    root["scaled"].title = "Another"


def annotated(root: Any) -> None:
    """Write another annotation beside the first scale of an item."""
    scale(root["annotated"])
    getattr(root["annotated"], KEY)["collective.counter"] = PersistentDict()


def annotated_first(root: Any) -> None:
    """Write another annotation beside the first scale of an item that had none at all."""
    scale(root["bare"])
    getattr(root["bare"], KEY)["collective.counter"] = PersistentDict()


def scaled_and_titled(root: Any) -> None:
    """Write a scale and a title at once."""
    scale(root["scaled"])
    titled(root)


def first_and_titled(root: Any) -> None:
    """Write an item's first scale, and a title at once."""
    scale(root["bare"])
    root["bare"].title = "Another"


def created(root: Any) -> None:
    """Add an item."""
    root["new"] = Item()


def of_a_field(root: Any) -> None:
    """Change a list within an item."""
    root["bare"].subjects.append("bridge")
    root["bare"]._p_changed = True


def dated(root: Any) -> None:
    """Change a date, of which only the class's own methods tell what it is."""
    root["bare"].changed = DateTime("2026-12-02 12:00 UTC")


def in_an_annotation(root: Any) -> None:
    """Change an annotation that was there."""
    getattr(root["annotated"], KEY)["other"]["what"] = "changed"


def unchanged(root: Any) -> None:
    """Write an item as it is."""
    root["bare"]._p_changed = True


WRITES: dict[str, list[Callable[[Any], None]]] = {
    "nothing": [],
    "scale": [lambda root: scale(root["scaled"], "image-800-2")],
    "scales of many": [lambda root: scale(root["scaled"], "image-800-2"), lambda root: scale(root["annotated"])],
    "first scale": [lambda root: scale(root["annotated"])],
    "first annotation": [lambda root: scale(root["bare"])],
    "older kind of scales": [lambda root: scale(root["older"])],
    "unchanged": [unchanged],
    "portlet shown": [lambda root: shown(root["bare"]), lambda root: shown(root["annotated"])],
    "portlet hidden": [hidden],
    "portlet shown, then hidden": [lambda root: shown(root["bare"]), hidden],
    "portlet hidden that was shown": [hidden_again],
    "rules opened": [lambda root: opened(root["bare"]), lambda root: opened(root["annotated"])],
    "rules opened, then assigned": [lambda root: opened(root["bare"]), lambda root: ruled(root["bare"])],
    "rule assigned": [lambda root: ruled(root["opened"])],
    "rule taken away": [lambda root: unruled(root["ruled"])],
    "locked": [lambda root: lock(root["bare"])],
    "locked with annotations": [lambda root: lock(root["annotated"])],
    "locked again": [lambda root: lock(root["expired"])],
    "locked, then scale": [lambda root: lock(root["scaled"]), lambda root: scale(root["scaled"], "image-800-2")],
    "locked and unlocked": [lambda root: lock(root["bare"]), lambda root: unlocked(root["bare"])],
    "unlocked": [lambda root: unlocked(root["locked"])],
    "lock refreshed": [lambda root: refreshed(root["locked"])],
    "expired lock removed": [lambda root: looked_at(root["expired"])],
    "locked and titled": [locked_and_titled],
    "locked, then titled": [lambda root: lock(root["scaled"]), titled],
    "locked and annotated": [locked_and_annotated],
    "in place of a lock": [in_place_of_a_lock],
    "title": [titled],
    "title, then scale": [titled, lambda root: scale(root["scaled"])],
    "scale, then title": [lambda root: scale(root["scaled"]), titled],
    "scale and title": [scaled_and_titled],
    "first annotation and title": [first_and_titled],
    "other annotation": [annotated],
    "first annotations": [annotated_first],
    "in an annotation": [in_an_annotation],
    "created": [created],
    "field": [of_a_field],
    "date": [dated],
    "unknown transaction": [lambda root: scale(root["scaled"])],
    "packed title": [titled, lambda root: scale(root["scaled"])],
}


def judged(name: str) -> bool:
    """Return whether the writes of `name`, each a transaction of its own, count as what reads write."""
    path = Path(tempfile.mkdtemp()) / "Data.fs"
    database = DB(FileStorage(str(path), blob_dir=str(path.with_name("blobs"))))
    with database.transaction() as connection:
        root = connection.root()
        for each in ("bare", "annotated", "scaled", "older", "portlet", "locked", "expired", "opened", "ruled"):
            root[each] = Item()
        opened(root["opened"])
        opened(root["ruled"])
        ruled(root["ruled"])
        lock(root["locked"])
        lock(root["expired"], age=3600)
        shown(root["portlet"])
        setattr(root["annotated"], KEY, OOBTree({"other": PersistentDict()}))
        scale(root["scaled"])
        setattr(root["older"], KEY, OOBTree({"plone.scale": PersistentDict()}))
    since = p64(1) if name == "unknown transaction" else database.lastTransaction()
    connection = database.open()
    for write in WRITES[name]:
        write(connection.root())
        transaction.commit()
    if name.startswith("packed"):  # what was there before the title is gone
        time.sleep(0.01)
        database.pack()
    try:
        with zodb.opened(path) as storage:
            return only_by_reads(storage, since)
    finally:
        connection.close()
        database.close()


def main() -> dict[str, Any]:
    """Judge each."""
    return {name: judged(name) for name in WRITES}


if __name__ == "__main__":
    print(json.dumps(main()))
