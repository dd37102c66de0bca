"""Lines for a terminal of any width, for a pipe or a log: wrapping, next commands, and how wide a line may be."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from front.arguments.request import Request
from front.run.messages import Message

NARROWEST, WIDEST, UNKNOWN = 20, 110, 100
NEXT = "Next: "


def columns() -> int:
    """Return how many characters a line may have: those of the terminal or of COLUMNS, 100 where neither says."""
    return min(max(shutil.get_terminal_size((UNKNOWN, 24)).columns, NARROWEST), WIDEST)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of `text`, folded at `width`. Indented lines, as logs are, and words stay whole."""
    for line in text.splitlines():
        if line[:1] in {" ", "\t", "|"}:
            yield line
        else:
            yield from textwrap.wrap(line, width, break_on_hyphens=False, break_long_words=False)


def rendered(message: Message, request: Request, width: int) -> Iterator[str]:
    """Yield a message's lines: its text, wrapped, then `Next:` with each command on a line of its own, to be copied."""
    yield from wrapped(message.message, width)
    yield from next_lines([request.same_hosts(command) for command in message.next])


def next_lines(commands: Sequence[str]) -> Iterator[str]:
    """Yield `Next:` and the commands, a line each, below each other."""
    for number, command in enumerate(commands):
        yield f"{' ' * len(NEXT) if number else NEXT}{command}"


def cut(line: str, width: int) -> str:
    """Return a line that fits into `width` characters, and shows where it was cut."""
    return line if len(line) <= width else f"{line[: max(width - 1, 0)]}…"
