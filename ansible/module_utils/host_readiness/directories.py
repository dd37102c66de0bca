"""Whether the directories of the stack's name are the stack's own. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .model import Foreign

# Each of these is written by no other program, and stays as long as the stack does: in the state, by the pilot, and in
# the configuration, also of a front host, which has no pilot.
MARKS = ("journal.jsonl", "release.json", ".guard")
EDGE_MARK = "edge/haproxy.cfg.sha1"
# What a directory may hold without a mark: made by a first deployment that did not come further, or by an operator
# before it; or left where the disk with the state was lost.
CONFIGURATION = {"bridge", "copy", "edge", "front", "plone", "secrets", "timers"}
STATE = {"bridge", "copy", "edge", "examined", "lost+found", "releases", "run", "runs"}


def foreign(stack: str, root: Path = Path("/")) -> Iterator[Foreign]:
    """Yield those of the stack's two directories that are there, and are another program's."""
    configuration, state = root / "etc" / stack, root / "var/lib" / stack
    if (configuration / EDGE_MARK).exists() or any((state / mark).exists() for mark in MARKS):
        return
    for path, known in ((configuration, CONFIGURATION), (state, STATE)):
        if path.is_dir():
            held = sorted(each.name for each in path.iterdir() if each.name not in known)
            owner = path.stat().st_uid
            if held or owner != root.stat().st_uid:
                yield Foreign(f"/{path.relative_to(root)}", held[0] if held else "", owner)


def certificate(stack: str, root: Path = Path("/")) -> str:
    """Return certbot's file of a certificate that has the stack's name and is not the stack's; "" for none."""
    path = root / f"etc/letsencrypt/renewal/{stack}.conf"
    try:
        own = f"/etc/{stack}/" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "" if own else f"/{path.relative_to(root)}"
