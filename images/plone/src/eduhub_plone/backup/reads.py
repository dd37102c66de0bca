"""Tells whether all that was written to a database since a transaction is what Plone writes when it is only read.

None of it is content, and all of it may be lost:

- a scale of an image, made when a reader first asks for it, below the annotation `plone.scale` of the item
  (plone.scale.storage): it is made again when it is asked for again;
- the empty settings of a portlet, kept when it is first shown (plone.portlets.settings): likewise;
- the empty list of an item's content rules, kept when their page is first opened (plone.contentrules): likewise;
- the lock of an item, made when an editor opens its edit form, and removed when somebody looks at the item once it is
  older than ten minutes (plone.locking, OFS.Lockable): the form is saved without it as well.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64
from zodbpickle.pickle import Unpickler

from . import database as zodb

ANNOTATIONS = "__annotations__"
# Annotations of an item that may differ, whatever they hold: its scales, and which kind each of its locks is.
SCALES, LOCK_KINDS = "plone.scale", "plone.locking"
SCALES_DICT, TREE = ("plone.scale.storage", "ScalesDict"), ("BTrees.OOBTree", "OOBTree")
# An item's locks: the attribute with a mapping of them by their tokens; one of them; its kind, within the annotation.
LOCKS, LOCK, LOCK_KIND = "_dav_writelocks", ("OFS.LockItem", "LockItem"), ("plone.locking.interfaces", "LockType")
# Made when a portlet is first shown (plone.portlets.settings).
PORTLET, SETTINGS = "plone.portlets.assignmentsettings", ("plone.portlets.settings", "PortletAssignmentSettings")
# Made when the page of an item's content rules is first opened (plone.contentrules.engine.assignments).
RULES = "plone.contentrules.localassignments"
MANAGER = ("plone.contentrules.engine.assignments", "RuleAssignmentManager")
# Of a transaction that a pack has gone through: what was there before it may be gone.
PACKED = "p"


def written(database: Path, transaction: str) -> str | None:
    """Return the last transaction of a database that was written after `transaction`, but for what reads write.

    None where there is nothing else.
    """
    with zodb.opened(database) as storage:
        now = str(storage.lastTransaction().hex())
        return None if now == transaction or only_by_reads(storage, bytes.fromhex(transaction)) else now


def only_by_reads(storage: FileStorage, since: bytes) -> bool:
    """Return whether what differs from the content as of transaction `since` is what reads write.

    False where that is not known. Objects that are new are not looked at: only one that was there can lead to them, and
    that one has changed then.
    """
    after = p64(u64(since) + 1)
    transactions = iter(storage.iterator(since))
    first = next(transactions, None)
    if first is None or first.tid != since:
        return False
    changed: set[bytes] = set()
    for transaction in transactions:
        if transaction.status == PACKED:
            return False
        changed.update(record.oid for record in transaction)
    return all(_keeps_content(storage, oid, after) for oid in changed)


def _keeps_content(storage: FileStorage, oid: bytes, after: bytes) -> bool:
    """Return whether an object differs by no more than what reads write from what it was before transaction `after`."""
    then, now = _record(storage, oid, after), _record(storage, oid)
    if then is None or now is None:
        return then is None
    try:
        (kind, was), (kind_now, has) = _read(then), _read(now)
        if kind != kind_now:
            return False
        if kind in {SCALES_DICT, LOCK}:
            return True
        if kind == TREE:
            was, has = _without_reads(storage, was, after), _without_reads(storage, has)
        elif _locks(storage, was, after) and _locks(storage, has):
            return True
        elif isinstance(was, dict) and isinstance(has, dict):
            return _same_but_first(storage, was, has, after)
        return bool(was == has)
    except Exception:  # an unusual pickle may raise anything; what it holds is not known
        return False


def _same_but_first(storage: FileStorage, was: dict[str, Any], has: dict[str, Any], after: bytes) -> bool:
    """Return whether an item differs by no more than its first annotations and locks, made by reads."""
    if ANNOTATIONS in has and ANNOTATIONS not in was:
        kind, state = _new(storage, has.pop(ANNOTATIONS), after)
        if kind != TREE or _without_reads(storage, state) != {}:
            return False
    if LOCKS in has and LOCKS not in was and not _locks(storage, _new(storage, has.pop(LOCKS), after)[1]):
        return False
    return bool(was == has)


def _new(storage: FileStorage, oid: Any, after: bytes) -> tuple[tuple[str, str], Any]:
    """Return class and state of an object that was not there before transaction `after`; of no class where it was."""
    now = _record(storage, oid) if isinstance(oid, bytes) and _record(storage, oid, after) is None else None
    return _read(now) if now else (("", ""), None)


def _locks(storage: FileStorage, state: Any, before: bytes | None = None) -> bool:
    """Return whether a state is that of a mapping that holds nothing but locks, or their kinds; or nothing at all."""
    if not isinstance(state, dict) or set(state) != {"data"} or not isinstance(state["data"], dict):
        return False
    return all(_lock(storage, each, before) for each in state["data"].values())


def _lock(storage: FileStorage, value: Any, before: bytes | None) -> bool:
    if isinstance(value, bytes):
        record = _record(storage, value, before)
        return record is not None and _read(record)[0] == LOCK
    kind = value.get("type") if isinstance(value, dict) and set(value) == {"type", "token"} else None
    return isinstance(kind, _StandIn) and kind.of == LOCK_KIND


def _without_reads(storage: FileStorage, state: Any, before: bytes | None = None) -> Any:
    """Return the state of a tree of annotations as a dictionary without what reads write.

    As it is where the tree has several buckets: one bucket is within its own record, as ((((key, value, ...),),),).
    """
    if state is None:
        return {}
    try:
        (((pairs,),),) = state
    except ValueError:
        return state
    found = {pairs[at]: pairs[at + 1] for at in range(0, len(pairs), 2) if pairs[at] not in {SCALES, LOCK_KINDS}}
    if PORTLET in found and _empty(storage, found[PORTLET], before):
        del found[PORTLET]
    if RULES in found and _without_rules(storage, found[RULES], before):
        del found[RULES]
    return found


def _empty(storage: FileStorage, settings: Any, before: bytes | None) -> bool:
    """Return whether settings of a portlet are as Plone makes them: one dictionary with nothing in it."""
    if not isinstance(settings, _StandIn) or settings.of != SETTINGS:
        return False
    states = [each for each in settings.told if each != ()]
    if len(states) != 1 or not isinstance(states[0], dict) or set(states[0]) != {"data"}:
        return False
    record = _record(storage, states[0]["data"], before)
    return record is not None and bool(_read(record)[1] == {"data": {}})


def _without_rules(storage: FileStorage, oid: Any, before: bytes | None) -> bool:
    """Return whether an item's content rules are as Plone makes them: a tree and a list of their order, both empty."""
    kind, state = _state(storage, oid, before)
    if kind != MANAGER or set(state) != {"_data", "_order"}:
        return False
    tree, order = (_state(storage, state[name], before)[1] for name in ("_data", "_order"))
    return tree is None and bool(order == {"data": []})


def _state(storage: FileStorage, oid: Any, before: bytes | None) -> tuple[tuple[str, str], Any]:
    """Return class and state of an object that is referred to; of no class where there is none."""
    record = _record(storage, oid, before) if isinstance(oid, bytes) else None
    return _read(record) if record else (("", ""), None)


def _record(storage: FileStorage, oid: bytes, before: bytes | None = None) -> bytes | None:
    """Return an object's record, as it was before a transaction if one is given; None where it was not there."""
    try:
        found = storage.loadBefore(oid, before) if before else storage.load(oid)
    except POSKeyError:  # its creation was undone
        return None
    return found[0] if found else None


def _read(record: bytes) -> tuple[tuple[str, str], Any]:
    """Return the class of an object, by module and name, and its state. No class is imported."""
    pickles = _Reader(BytesIO(record))
    kind = pickles.load()
    return (kind[0] if isinstance(kind, tuple) else kind).of, pickles.load()


class _Reader(Unpickler):  # type: ignore[misc]
    """Reads a record with stand-ins for all classes, and the id of an object where one is referred to."""

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        return _stand_in(module, name)

    def persistent_load(self, reference: Any) -> Any:
        return reference[0] if isinstance(reference, tuple) else reference


class _StandIn:
    """An instance of any class, equal to one of the same class that was made and filled alike."""

    of = ("", "")

    def __new__(cls, *arguments: Any) -> _StandIn:
        made = super().__new__(cls)
        made.told = [arguments]
        return made

    told: list[Any]

    def __setstate__(self, state: Any) -> None:
        self.told.append(state)

    append = __setstate__

    def extend(self, items: Any) -> None:
        self.told.extend(items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.told.append((key, value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StandIn) and self.of == other.of and self.told == other.told

    def __hash__(self) -> int:
        return hash(self.of)


@cache
def _stand_in(module: str, name: str) -> type[_StandIn]:
    return type(name, (_StandIn,), {"of": (module, name)})
