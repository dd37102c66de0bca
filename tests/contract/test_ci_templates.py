"""What an institution copies into its CI is what GitHub and GitLab read, and types commands that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks

CI = Path(__file__).resolve().parents[2] / "docs/ci"
# Each template, the schema that its service publishes, and what no run of that service would take.
SCHEMAS = {
    "github-actions.yml": ("vendor.github-workflows", ("runs-on:", "run-on:")),
    "gitlab-ci.yml": ("vendor.gitlab-ci", ("when: manual", "when: by hand")),
}
COMMAND = re.compile(r"\./invoke (.*?)(?: \||$)", re.MULTILINE)


def problems(schema: str, file: Path) -> str:
    """Return what the schema finds in a template, "" for nothing."""
    words = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", schema, file]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def unknown(template: str) -> list[str]:
    """Return the commands of a template that the command tree does not take."""
    found = []
    for line in COMMAND.findall(template):
        try:
            Parser(contexts=tasks.namespace.to_contexts()).parse_argv(shlex.split(line))
        except ParseError:
            found.append(line)
    return found


def test_each_template_has_a_schema():
    assert {path.name for path in CI.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_template_is_what_its_service_reads(name):
    assert problems(SCHEMAS[name][0], CI / name) == ""


@pytest.mark.parametrize("name", SCHEMAS)
def test_one_that_it_does_not_read_is_found(name, tmp_path):
    schema, change = SCHEMAS[name]
    (tmp_path / name).write_text((CI / name).read_text().replace(*change))
    assert "Schema validation errors were encountered" in problems(schema, tmp_path / name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_template_types_commands_that_there_are(name):
    text = (CI / name).read_text()
    assert (unknown(text), [line.split()[0] for line in COMMAND.findall(text)]) == (
        [], ["preflight", "plan", "upgrade", "report"],
    )  # fmt: skip


def uploads(name: str) -> list[tuple[str, str]]:
    """Return the first file that each upload of a template takes, and when it is taken."""
    template = yaml.safe_load((CI / name).read_text())
    if name.startswith("gitlab"):
        kept = [job["artifacts"] for job in template.values() if isinstance(job, dict) and "artifacts" in job]
        return [(each["paths"][0], each.get("when", "on_success")) for each in kept]
    steps = [step for job in template["jobs"].values() for step in job["steps"]]
    taken = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    return [(step["with"]["path"].split()[0], step.get("if", "success()")) for step in taken]


@pytest.mark.parametrize(("name", "always"), [("github-actions.yml", "always()"), ("gitlab-ci.yml", "always")])
def test_what_a_job_found_is_kept_where_it_fails_too(name, always):
    assert uploads(name) == [("preflight.json", always), ("plan.json", always), ("upgrade.json", always)]


def test_a_command_that_there_is_not_is_found():
    assert unknown('    - ./invoke plan --pyhton "$P" | tee x\n    - ./invoke status\n') == ['plan --pyhton "$P"']
