"""docs/reference/answers.md lists every code of the pilot with its exit code and meaning."""

from __future__ import annotations

import re
from pathlib import Path

from eduhub_pilot.model.codes import CODES

PAGE = Path(__file__).parents[2] / "docs/reference/answers.md"


def test_the_reference_lists_every_code():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert [row for row in rows if row[0] in CODES or row[1] in {"0", "1", "2", "3", "phase", "finding"}] == [
        (name, str(code.exit), code.meaning) for name, code in CODES.items()
    ]
