"""How the command line refuses: with messages and commands, before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class RefusalError(Exception):
    """An operator's mistake: its messages, to be shown as they are, and what to type next; nothing was touched."""

    def __init__(self, *messages: str, next_commands: Sequence[str] = ()) -> None:
        super().__init__(*messages)
        self.messages = messages
        self.next_commands = next_commands


def shown(path: Path) -> str:
    """Return a path as its reader would type it: from the current directory where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
