"""A stack, and a way to run the load generator against it as an operator does, in simulated seconds."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.command import execute
from tests.unit.load.simulated import simulated
from tests.unit.load.stack import PASSWORD, Stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack without faults so far; it serves as long as a load runs."""
    return Stack(tmp_path / "stack.sock")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """The file with the right password."""
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def load(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the load generator against the stack and returns what it prints: the light stream, and those in `streams`.

    `later` are seconds and what happens then.
    """

    def load(*words: str, streams: tuple[str, ...] = (), later: tuple[float, Callable[[], Any]] | None = None) -> Any:
        without = {"page": ("--page-rate", "0"), "slow": ("--slow", ""), "download": ("--download", "")}
        off = [word for stream, none in without.items() if stream not in streams for word in none]

        async def play() -> int:
            async with stack.serving():
                if later:
                    asyncio.get_running_loop().call_later(*later)
                return await execute(["--url", stack.url, *off, *words])

        code = simulated(play())
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        assert (code, printed.err.startswith("load: ")) == (result["exit"], True)
        return dict(result)

    return load
