"""Known holes of Python packages, from a file in the format of OSV (https://ossf.github.io/osv-schema/).

The file is the database as osv.dev publishes it for PyPI (all.zip), or JSON: a record, or a list of them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder import Refusal


@dataclass(frozen=True)
class Advisory:
    """A known hole in one version of a package; `aliases` are its other names, `fixed` the versions without it."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its CVE number where it has one, which is what people search for."""
        return next((name for name in (self.id, *self.aliases) if name.startswith("CVE-")), self.id)

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fix known"
        return f"{self.package} {self.version}: {self.name}, {fixed}"


@dataclass(frozen=True)
class Database:
    """All records of a file; `date` is the day on which the newest of them was changed, as 2026-11-29."""

    date: str
    records: Mapping[str, tuple[Mapping[str, Any], ...]]  # by the name of the package

    def of(self, package: str, version: str) -> tuple[Advisory, ...]:
        """Return what is known of `version` of `package`, each once under all its names."""
        found: dict[str, Advisory] = {}
        for record in self.records.get(canonicalize_name(package), ()):
            affected = [part for part in record["affected"] if _is_of(part, package) and _affects(part, version)]
            if affected:
                fixed = tuple(sorted({name for part in affected for name in _fixes(part, version)}, key=Version))
                advisory = Advisory(package, version, record["id"], tuple(record.get("aliases", ())), fixed)
                # Several databases write of one hole, and not each of them knows what fixes it.
                first = found.setdefault(advisory.name, advisory)
                every = tuple(sorted({*first.fixed, *fixed}, key=Version))
                found[advisory.name] = replace(first, fixed=every)
        return tuple(found[name] for name in sorted(found))


def load(path: Path) -> Database:
    """Return the records of the file `path`. Raise Refusal where it cannot be read, or is no such file."""
    records: dict[str, list[Mapping[str, Any]]] = {}
    date = ""
    try:
        for record in _documents(path):
            date = max(date, record["modified"][:10])
            if not record.get("withdrawn"):
                for name in {_package(part) for part in record.get("affected", ())} - {""}:
                    records.setdefault(name, []).append(record)
    except OSError as error:
        raise Refusal(f"The advisories in {path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        raise Refusal(
            f"{path} holds no advisories in OSV's format; name the all.zip that osv.dev publishes for PyPI."
        ) from None
    if not date:
        raise Refusal(f"{path} holds no advisory at all; name the all.zip that osv.dev publishes for PyPI.")
    return Database(date, {name: tuple(rows) for name, rows in records.items()})


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            yield from (json.loads(file.read(name)) for name in file.namelist() if name.endswith(".json"))
        return
    document = json.loads(path.read_text(encoding="utf-8"))
    yield from document if isinstance(document, list) else [document]


def _package(part: Mapping[str, Any]) -> str:
    """Return the canonical name of the PyPI package in a part of a record; "" for another ecosystem's."""
    package = part.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" else ""


def _is_of(part: Mapping[str, Any], package: str) -> bool:
    return _package(part) == canonicalize_name(package)


def _affects(part: Mapping[str, Any], version: str) -> bool:
    """Whether `version` is among those that are named, or within one of the ranges.

    1.0 and 1.0.0 are one version. One that is not in PEP 440's form is in no range.
    """
    named, number = part.get("versions", ()), _version(version)
    if number is None:
        return version in named
    return any(version == name or number == _version(name) for name in named) or any(
        _is_within(row.get("events", ()), number) for row in _ranges(part)
    )


def _ranges(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the ranges of versions; those of GIT are of commits."""
    return (row for row in part.get("ranges", ()) if row.get("type") in {"ECOSYSTEM", "SEMVER"})


def _is_within(events: Any, version: Version) -> bool:
    """Evaluate OSV's events in the order of their versions: introduced, fixed (without the hole), last_affected."""
    order = {"introduced": 0, "fixed": 0, "last_affected": 1}
    changes = [(_version(at), order[kind], kind) for event in events for kind, at in event.items() if kind in order]
    inside = False
    for at, _, kind in sorted((change for change in changes if change[0]), key=lambda change: change[:2]):
        if at and (version > at if kind == "last_affected" else version >= at):
            inside = kind == "introduced"
    return inside


def _fixes(part: Mapping[str, Any], version: str) -> Iterator[str]:
    """Yield the versions after `version` that a part names as fixed."""
    number = _version(version)
    for row in _ranges(part):
        for event in row.get("events", ()):
            fixed = _version(event.get("fixed", ""))
            if fixed and number and fixed > number:
                yield str(fixed)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
