"""A stack, and a way to run the witness against it as an operator does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from eduhub_pilot.witness import run
from tests.unit.pilot.witness.stack import PASSWORD, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack without faults so far."""
    stack = Stack().start()
    yield stack
    stack.stop()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """The file with the right password."""
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def witness(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the witness against the stack and returns what it prints: the light stream, and those in `streams`."""

    def witness(*words: str, streams: tuple[str, ...] = ()) -> dict[str, Any]:
        without = {"page": ("--page-rate", "0"), "slow": ("--slow", ""), "download": ("--download", "")}
        off = [word for stream, none in without.items() if stream not in streams for word in none]
        code = run(["--url", stack.url, *off, *words])
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        assert (code, printed.err.startswith("witness: ")) == (result["code"], True)
        return dict(result)

    return witness
