"""docs/reference/answers.md lists every code of the pilot with its exit code and meaning; tasks name theirs."""

from __future__ import annotations

import re
from pathlib import Path

from eduhub_pilot.model.codes import CODES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/answers.md"


def test_the_reference_lists_every_code():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert [row for row in rows if row[0] in CODES or row[1] in {"0", "1", "2", "3", "phase", "finding"}] == [
        (name, str(code.exit), code.meaning) for name, code in CODES.items()
    ]


def test_a_task_names_the_code_of_its_failure_as_it_stands():
    """The callback reads the variable of the task itself, in which nothing is rendered."""
    tasks = [*(ROOT / "ansible/playbooks").rglob("*.yml"), *(ROOT / "ansible/roles").glob("*/tasks/*.yml")]
    # On the line itself, or in the lines below it that are indented further.
    form = r"(?m)^( *).*failure:.*(?:\n\1 +.*)*"
    named = [found[0] for path in tasks for found in re.finditer(form, path.read_text())]
    assert (len(named) > 10, [line for line in named if "{{" in line]) == (True, [])


def test_a_failure_of_a_task_has_the_exit_code_of_its_code():
    """Where a task says one, since its phase may also fail after something was changed."""
    tasks = [*(ROOT / "ansible/playbooks").rglob("*.yml"), *(ROOT / "ansible/roles").glob("*/tasks/*.yml")]
    form = r"failure: \{code: (\w+), exit: (\d)"
    named = [found.groups() for path in tasks for found in re.finditer(form, path.read_text())]
    assert named == [(code, str(CODES[code].exit)) for code, _ in named] != []
