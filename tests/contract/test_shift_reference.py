"""docs/reference/shift.md names every limit and variable of a shift with the default that it has."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import yaml

from eduhub_pilot.model.shift_plan import STEPS, Limits, Plan

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = dict(
    re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", (CHECKOUT / "docs/reference/shift.md").read_text(), flags=re.MULTILINE)
)
DEFAULTS = yaml.safe_load((CHECKOUT / "ansible/roles/pilot/defaults/main.yml").read_text())


def test_every_limit_stands_there_with_its_default():
    limits = {name: f"{value:g}" for name, value in asdict(Limits()).items()}
    assert limits == {name: ROWS[name] for name in limits}


def test_every_variable_there_has_that_default():
    named = {name: yaml.safe_load(value) for name, value in ROWS.items() if name.startswith("pilot_")}
    assert named == {name: DEFAULTS[name] for name in named}


def test_the_pilots_own_defaults_are_the_inventorys():
    assert (list(STEPS), Plan().seconds, Plan().cut) == (
        DEFAULTS["pilot_shift_steps"], DEFAULTS["pilot_watch_seconds"], DEFAULTS["pilot_drain_cut"],
    )  # fmt: skip
