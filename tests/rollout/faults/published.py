"""docs/reference/faults.md, made from the matrix and from what was measured. `python -m tests.rollout.faults.published`
writes it; with the name of a record (EDUHUB_FAULTS_RECORD) what is in that is taken over first."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.rollout.faults.matrix import CELLS, FAULTS, NONE, STEPS, Cell

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs/reference/faults.md"
MEASURED = HERE / "measured.json"
WORDS = HERE / "faults.md"


def measured() -> dict[str, Any]:
    """Return what was measured, by a cell's id: its last outcome, seconds, exit code, failed requests and gap."""
    return dict(json.loads(MEASURED.read_text()))


def taken_over(old: Mapping[str, Any], record: str) -> dict[str, Any]:
    """Return `old` with the lines of `record`; a cell that did not pass says nothing."""
    lines = [json.loads(line) for line in record.splitlines()]
    new = {line.pop("cell"): line for line in lines if "wrong" not in line}
    known = {cell.id for cell in CELLS}
    return {cell: found for cell, found in sorted({**old, **new}.items()) if cell in known}


def page(found: Mapping[str, Any]) -> str:
    """Return the page's text."""
    tables = {verb: table([cell for cell in CELLS if cell.verb == verb], found) for verb in ("upgrade", "rollback")}
    faults = "\n".join(f"| `{name}` | {words} |" for name, words in FAULTS.items())
    steps = "\n".join(f"| {name} | {words} |" for name, words in STEPS.items())
    none = "\n".join(f"- `{fault}` at {step} of {verb}: {why}." for (verb, step, fault), why in NONE.items())
    count = sum(cell.id in found for cell in CELLS)
    gaps = [found[cell.id]["gap"] for cell in CELLS if cell.id in found and cell.fault not in {"haproxy", "reboot"}]
    return WORDS.read_text().format(
        **tables, faults=faults, steps=steps, none=none, cells=len(CELLS), measured=count,
        longest=f"{max(gaps, default=0):.2f}",
    )  # fmt: skip


def table(cells: list[Cell], found: Mapping[str, Any]) -> str:
    """Return one verb's table: a row a fault, a column a step."""
    steps = list(dict.fromkeys(cell.step for cell in cells))
    by = {(cell.fault, cell.step): cell for cell in cells}
    rows = [["", *steps], ["---"] * (len(steps) + 1)]
    rows += [[f"`{fault}`", *(told(by.get((fault, step)), found) for step in steps)] for fault in FAULTS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def told(cell: Cell | None, found: Mapping[str, Any]) -> str:
    """Return a field: the outcome and the seconds until it where it was measured, what is expected where not."""
    if cell is None:
        return "-"
    if cell.id in found:
        return f"**{found[cell.id]['outcome']}** {found[cell.id]['seconds']:.0f} s"
    return f"({' or '.join(sorted(cell.outcomes))})"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        MEASURED.write_text(json.dumps(taken_over(measured(), Path(name).read_text()), indent=1) + "\n")
    PAGE.write_text(page(measured()))
