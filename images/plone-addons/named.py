"""Gives the metadata of add-ons the name that a package has itself; runs in the build's first stage.

    named.py TARGET

A newer setuptools calls the directory collective_easyform-4.5.1.dist-info. plone.autoinclude 1.0, of Plone 6.0, takes
that for the name of a module, and Plone does not start.
"""

from __future__ import annotations

import shutil
import sys
from email.parser import HeaderParser
from pathlib import Path


def rename(target: Path) -> None:
    """Rename the metadata of each package in `target` that Plone includes by itself."""
    for entries in sorted(target.glob("*.dist-info/entry_points.txt")):
        old = entries.parent
        if "autoinclude.plugin" not in entries.read_text(encoding="utf-8"):
            continue
        told = HeaderParser().parsestr((old / "METADATA").read_text(encoding="utf-8"))
        new = old.with_name(f"{told['Name']}-{told['Version']}.dist-info")
        record = old / "RECORD"
        record.write_text(record.read_text(encoding="utf-8").replace(f"{old.name}/", f"{new.name}/"), encoding="utf-8")
        shutil.move(old, new)  # a layer of the engine does not rename what is in the one below


if __name__ == "__main__":
    rename(Path(sys.argv[1]))
