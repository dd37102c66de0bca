"""Where a site's data is in its volume: versions of Plone do not share a database, so each has a directory of its own.

The database that was there first is at the top of the volume; one that came by an upgrade is below `versions`. The
Plone that serves has the lock of the first as well, so that containers of all versions wait for one another.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .backup.files import DATA_FS
from .settings import Refused

VERSIONS = "versions"
# In a database's directory: the version of the Plone that writes it.
MARKER = "plone-version"
# The same, once another version has what was written since.
LEFT = "left-for"


def plone_version() -> str | None:
    """Return the version of Plone in this image; None in one without it."""
    try:
        return version("Products.CMFPlone")
    except PackageNotFoundError:
        return None


def place(volume: Path, plone: str | None) -> Path:
    """Return the directory of the database of Plone `plone` in `volume`."""
    own = volume / VERSIONS / (plone or "")
    return own if plone and own.is_dir() else volume


def refuse_other_version(data: Path, plone: str | None) -> None:
    """Raise Refused where another version of Plone writes the database in `data`, or what came after it."""
    if left := _said(data / LEFT):
        raise Refused(
            f"the database in {data} was left for that of Plone {left}, which has what was written since: write "
            f'plone_version: "{left}" into the inventory, or remove {data / LEFT} to lose that.'
        )
    writes = _said(data / MARKER)  # nothing, if that was before images left this mark
    if plone and writes and writes != plone:
        raise Refused(
            f"the database in {data} is that of Plone {writes}, and this image has {plone}: versions do not share one. "
            f"Type ./invoke plone.upgrade --version {plone}, or run an image of {writes}."
        )


def refuse_missing(data: Path) -> None:
    """Raise Refused where Plone has had a database in `data` and there is none: it would begin an empty site."""
    writes = _said(data / MARKER)
    if writes and not (data / DATA_FS).exists():
        raise Refused(
            f"there is no database {DATA_FS} in {data}, and Plone {writes} has had one there: Plone would begin an "
            "empty site. Where a restore was interrupted, type ./invoke plone.restore --to live, which brings back "
            f"what was there; else bring the file back, or remove {data / MARKER} to begin an empty site."
        )


def leave_for(data: Path, plone: str) -> None:
    """Note that what is written from now on is in the database of another Plone."""
    _say(data / LEFT, plone)


def is_left(data: Path) -> bool:
    """Return whether that is noted."""
    return (data / LEFT).exists()


def take_back(data: Path) -> None:
    """Take that note back, also one that could not be written whole."""
    for mark in (data / LEFT, data / f".{LEFT}.new"):
        mark.unlink(missing_ok=True)


def claim(data: Path, plone: str | None) -> None:
    """Note that Plone `plone` writes the database in `data` from now on. Raises Refused where another version does."""
    refuse_other_version(data, plone)
    if plone and not (data / MARKER).exists():
        _say(data / MARKER, plone)


def _said(mark: Path) -> str | None:
    try:
        return mark.read_text("utf-8").strip()
    except OSError:
        return None


def _say(mark: Path, plone: str) -> None:
    new = mark.with_name(f".{mark.name}.new")
    new.write_text(f"{plone}\n", "utf-8")
    new.replace(mark)
