"""What the operator sees: a line a step with its duration while images are built, and a table at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TextIO

from builder.catalogue import REPOSITORY
from builder.security import Update

WIDTH = 110
# Packages that a sentence names at most.
NAMED = 6


@dataclass(frozen=True)
class Result:
    """One image after a run; `state` is "built", or "present" where its inputs had not changed.

    `end_of_life` is the last day on which its Debian suite had security fixes, once that is past. `updates` are the
    security updates of `suite` that the image lacks, as far as that was looked up.
    """

    image: str
    python: str | None
    size_bytes: int
    id: str
    seconds: float
    state: str
    inputs: str
    manifest: str
    end_of_life: str | None = None
    suite: str = ""
    updates: tuple[Update, ...] = ()

    @property
    def short(self) -> str:
        """The tag without our repository."""
        return self.image.removeprefix(f"{REPOSITORY}/")

    @property
    def remarks(self) -> str:
        """The state, and what an operator should know of the image beside it."""
        ended = [f"no security fixes since {self.end_of_life}"] if self.end_of_life else []
        count = len(self.updates)
        behind = [f"{count} security update{'s' * (count > 1)} behind"] if count else []
        return ", ".join([self.state, *ended, *behind])


class Progress:
    """Writes to `stream`; on a terminal the step under way is shown too, and overwritten by its result."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._live = stream.isatty()

    def say(self, image: str, text: str) -> None:
        """Write one line."""
        self._write(f"{image:<26} {text}")

    @contextmanager
    def step(self, image: str, text: str) -> Iterator[Callable[[str], None]]:
        """Time what happens inside; the function given shows how far it is, and its last word stays in the line."""
        started = time.monotonic()
        detail = ""

        def show(word: str) -> None:
            nonlocal detail
            detail = word
            if self._live:
                self._stream.write(f"\r\x1b[K{image:<26} {text}: {word} ..."[:WIDTH])
                self._stream.flush()

        if self._live:
            show("")
        yield show
        shown = f"{text}: {detail}" if detail else text
        self._write(f"{image:<26} {shown[: WIDTH - 40]:<60} {time.monotonic() - started:6.1f} s")

    def _write(self, line: str) -> None:
        self._stream.write(("\r\x1b[K" if self._live else "") + line.rstrip() + "\n")
        self._stream.flush()


def table(results: Sequence[Result]) -> str:
    """Return the closing table: image, Python, size, id, seconds, state."""
    rows = [("IMAGE", "PYTHON", "SIZE", "ID", "SECONDS", "STATE")]
    rows += [
        (
            result.image,
            result.python or "-",
            f"{result.size_bytes / 1e6:.1f} MB",
            result.id.removeprefix("sha256:")[:12],
            f"{result.seconds:.1f}",
            result.remarks,
        )
        for result in results
    ]
    return "\n".join(columns(rows, right={2, 4}))


def columns(rows: Sequence[Sequence[str]], right: Set[int]) -> list[str]:
    """Return `rows` as lines of columns as wide as they must be; those numbered in `right` end on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def missed(results: Sequence[Result], *, fresh: bool = False, given: str = "") -> list[str]:
    """Return a sentence a suite whose security updates images lack: which, old and new, and what takes them.

    `fresh` says that they were built just now to take them, `given` are options that name an inventory.
    """
    sentences = []
    for suite in dict.fromkeys(result.suite for result in results if result.updates):
        behind = [result for result in results if result.suite == suite and result.updates]
        found = sorted({str(update) for result in behind for update in result.updates})
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        names = ",".join(result.short for result in behind)
        advice = (
            f"build them with ./invoke images.build{given} --fresh --names {names}, and roll them out with "
            f"./invoke deploy{given}"
        )
        if fresh:
            advice = f"the mirror does not give them yet to {names}; try again later"
        sentences.append(f"Security updates of {suite} that images lack: {', '.join(found[:NAMED])}{more}; {advice}.")
    return sentences


def document(results: Sequence[Result]) -> str:
    """Return the results as JSON: {"images": [{"image", "python", "size_bytes", "id", "seconds", "state",
    "updates": [{"package", "old", "new"}], ...}]}."""
    return json.dumps({"images": [asdict(result) for result in results]}, indent=2)
