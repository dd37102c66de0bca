"""What a module documents is what it takes: names, types, defaults, choices, and its suboptions likewise."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[4]
LIBRARY = CHECKOUT / "ansible/library"
MODULES = sorted(path.stem for path in LIBRARY.glob("*.py"))


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """Return an argument spec from the options of a DOCUMENTATION."""
    return {
        name: {"options" if key == "suboptions" else key: documented(value) if key == "suboptions" else value
               for key, value in option.items() if key != "description"}
        for name, option in options.items()
    }  # fmt: skip


def without_description(options: dict[str, Any]) -> list[str]:
    return [name for name, option in options.items() if not option.get("description")]


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_is_the_argument_spec(name):
    module = importlib.import_module(f"library.{name}")
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert documented(options) == module.ARGUMENTS
    assert without_description(options) == []


@pytest.mark.parametrize("name", MODULES)
def test_an_example_uses_only_options_that_there_are(name):
    module = importlib.import_module(f"library.{name}")
    used = {option for task in yaml.safe_load(module.EXAMPLES) for option in task.get(name, {})}
    assert used
    assert used <= set(module.ARGUMENTS)


@pytest.mark.parametrize("name", MODULES)
def test_every_result_has_a_type_and_says_when_it_is_returned(name):
    results = yaml.safe_load(importlib.import_module(f"library.{name}").RETURN)
    assert [key for key, each in results.items() if not {"description", "returned", "type"} <= set(each)] == []


@pytest.fixture(scope="module")
def shown():
    """What ansible-doc says of all modules: it starts once, since starting is nearly all that it does."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "-M", LIBRARY, "-t", "module", "--json", *MODULES],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible/ansible.cfg")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", MODULES)
def test_ansible_doc_shows_it(shown, name):
    options = yaml.safe_load(importlib.import_module(f"library.{name}").DOCUMENTATION)["options"]
    assert set(shown[name]["doc"]["options"]) == set(options)
    assert shown[name]["examples"]
