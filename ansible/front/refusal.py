"""How the commands refuse: in sentences, before anything is touched."""

from __future__ import annotations

from pathlib import Path


class RefusalError(Exception):
    """An operator's mistake: its sentences, to be shown as they are; nothing was touched."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(*sentences)
        self.sentences = sentences


def shown(path: Path) -> str:
    """Return a path as its reader would type it: from the current directory where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
