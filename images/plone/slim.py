"""Takes out of the installed packages what a running Plone never reads; runs in the build's first stage.

    slim.py TARGET

- tests: only other tests import them (a start, a site and its content prove it in tests/images)
- translation sources, once compiled: those that came without their compiled form get it here first
- source maps of browser scripts, fonts in formats for browsers before WOFF2, C and Cython sources
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SOURCES = (".po", ".pot", ".map", ".c", ".h", ".cpp", ".pyx", ".pxd", ".pxi", ".pth")
OLD_FONTS = (".eot", ".svg", ".ttf", ".woff")
PACKAGES_OF_TESTS = ("test", "tests", "stresstests")


def compile_translations(target: Path) -> None:
    """Write the compiled form of every translation beside its source, unless it is there."""
    sys.path.insert(0, str(target))
    from pythongettext.msgfmt import Msgfmt, PoSyntaxError  # noqa: PLC0415 - only there once it is installed

    for source in sorted(target.rglob("LC_MESSAGES/*.po")):
        compiled = source.with_suffix(".mo")
        if not compiled.exists():
            try:
                with source.open("rb") as lines:
                    compiled.write_bytes(Msgfmt(lines, name=source.stem).getAsFile().read())
            except PoSyntaxError as error:
                print(f"left out: {source}: {error.msg}")


def remove(target: Path) -> None:
    """Remove what is named above."""
    for directory in [path for path in target.rglob("*") if path.is_dir() and path.name in PACKAGES_OF_TESTS]:
        shutil.rmtree(directory, ignore_errors=True)
    for path in list(target.rglob("*")):
        font = path.suffix in OLD_FONTS and path.with_suffix(".woff2").exists()
        if path.is_file() and (path.suffix in SOURCES or font):
            path.unlink()


if __name__ == "__main__":
    root = Path(sys.argv[1])
    moment = Path(__file__).stat().st_mtime
    compile_translations(root)
    remove(root)
    for changed in [root, *root.rglob("*")]:
        os.utime(changed, (moment, moment), follow_symlinks=False)
