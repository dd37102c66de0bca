"""Every example of docs/patterns.md runs, on the Python that the bridge is tested on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from eduhub_bridge import patterns
from tests.unit.bridge.process import INTERPRETER, environment

PAGE = Path(__file__).resolve().parents[4] / "docs/patterns.md"
EXAMPLES = re.findall(r"(?ms)^### (.+?)\n.*?^```python\n(.+?)^```", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_runs(title, example):
    ran = subprocess.run(
        [INTERPRETER, "-X", "dev", "-W", "error", "-c", example], env=environment(""), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    # In development mode asyncio also reports callbacks that a busy machine made slow.
    said = [line for line in ran.stderr.splitlines() if not (line.startswith("Executing <") and "seconds" in line)]
    assert (ran.returncode, said) == (0, []), title


def test_every_piece_has_its_example():
    modules = {path.stem for path in Path(patterns.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name for name in modules if f"eduhub_bridge.patterns.{name} import" in PAGE.read_text("utf-8")} == modules
