"""Known differences that an institution allows for a time. Past its date an entry allows nothing any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from eduhub_pilot.model.errors import SettingError


@dataclass(frozen=True)
class Allowance:
    """One entry: `path` and `where` are patterns with `*` and `?`, `until` is the last day on which it counts."""

    path: str
    where: str
    until: date
    why: str

    def fits(self, path: str, where: str) -> bool:
        return fits(self.path, path) and covers(self.where, where)


def fits(pattern: str, text: str) -> bool:
    """Return whether `text` is `pattern` with its `*` and `?` filled in; brackets are those of a list's rows."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def covers(pattern: str, where: str) -> bool:
    """Return whether a place of an answer is one that `pattern` names, or part of it: `body.total` has its fields."""
    return any(fits(f"{pattern}{inner}", where) for inner in ("", ".*", "[*"))


def allowance(allowed: Iterable[Allowance], path: str, where: str, today: date) -> Allowance | None:
    """Return the entry that allows something today, else one that did until it expired, else None."""
    fitting = [each for each in allowed if each.fits(path, where)]
    return max(fitting, key=lambda each: (each.until >= today, each.until), default=None)


def parse_allowed(entries: Any, variable: str) -> tuple[Allowance, ...]:
    """Return the entries of an inventory variable; SettingError names the one that makes no sense."""
    if not isinstance(entries, list):
        raise SettingError(f"{variable} is {entries!r:.60}, not a list of entries.")
    return tuple(_entry(entry, variable) for entry in entries)


def _entry(entry: Any, variable: str) -> Allowance:
    form = f"An entry of {variable} looks like {{path: /courses, where: body.total, until: 2027-01-31, why: reason}}"
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise SettingError(f"{form}; {entry!r:.80} names no path.")
    if strange := sorted(set(entry) - {"path", "where", "until", "why"}):
        raise SettingError(f"{form}; it has no {strange[0]!r}.")
    try:
        until = date.fromisoformat(str(entry.get("until")))
    except ValueError:
        raise SettingError(
            f"{form}; the one for {entry['path']!r} has {entry.get('until')!r} as its last day. A difference is "
            "allowed for a time, not for ever."
        ) from None
    return Allowance(entry["path"], str(entry.get("where") or "*"), until, str(entry.get("why") or ""))
