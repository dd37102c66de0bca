"""The command tree: one verb an intention. What a verb means stands in ansible/, images/ and tests/."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from invoke import Collection, Context, Exit, ParseError, Program, task

PLAY = {
    "inventory": "inventories/NAME, or the path of an inventory",
    "limit": "only these hosts or groups",
    "verbose": "show what Ansible does",
}
MOVE = {**PLAY, "take-over": "take the lock from the run that holds it, undoing what that run left"}


def run(c: Context, *words: str, **env: str) -> None:
    """Run one program with `env` added to its environment; its exit code becomes ours."""
    # Nothing of ours reads stdin; where Invoke copied it, a Ctrl-C found it closed and became a traceback.
    c.run(shlex.join(words), env=env, pty=sys.stdout.isatty(), in_stream=False)


def play(c: Context, verb: str, *flags: str, inventory: str, limit: str, verbose: bool, **values: Any):
    """Play ansible/playbooks/`verb`.yml on the hosts of `inventory`, with `values` as its variables."""
    given = {f"eduhub_{name}": value for name, value in values.items() if value}
    words = ["--inventory", inventory, *flags]
    words += ["--limit", limit] if limit else []
    words += ["--values", json.dumps(given)] if given else []
    words += ["--verbose"] if verbose else []
    run(c, sys.executable, "-m", "front", verb, *words, PYTHONPATH="ansible")


def builder(c: Context, *words: str) -> None:
    """Run the image builder with `words`."""
    run(c, sys.executable, "-m", "builder", *words, PYTHONPATH="images")


def pytest(c: Context, *words: str) -> None:
    """Run pytest with `words`."""
    run(c, sys.executable, "-m", "pytest", *words)


@task(
    help={
        **MOVE,
        "python": "Python of the bridge; without it the one that is live stays, at first 3.11",
        "check": "change nothing, say what would change",
    }
)
def deploy(c, python="", inventory="local", limit="", check=False, take_over=False, verbose=False):
    """Bring the stack to what the inventory says: engine, images, Plone, edge, bridge."""
    flags = ["--check"] if check else []
    play(c, "engine", *flags, inventory=inventory, limit=limit, verbose=verbose, python=python)
    if not check:
        builder(c, "--missing")
    play(c, "deploy", *flags, inventory=inventory, limit=limit, verbose=verbose, python=python, take_over=take_over)


@task(
    help={
        **MOVE,
        "python": "Python to move to",
        "resume": "go on with an interrupted run",
        "hold": "leave the confirmation to a person, who types ./invoke confirm",
        "confirm-within": "seconds until a host that nobody confirms goes back by itself; without it 600",
    }
)
def upgrade(
    c, python="", hold=False, confirm_within="", inventory="local", limit="", resume=False, take_over=False,
    verbose=False,
):  # fmt: skip
    """Move the bridge to another Python, blue-green, without a failed request."""
    values = {"python": python, "hold": hold, "confirm_within": confirm_within, "resume": resume}
    values |= {"take_over": take_over}
    play(c, "upgrade", inventory=inventory, limit=limit, verbose=verbose, **values)


@task(help=PLAY)
def confirm(c, inventory="local", limit="", verbose=False):
    """Keep the release that `upgrade --hold` left unconfirmed."""
    play(c, "confirm", inventory=inventory, limit=limit, verbose=verbose)


@task(help={**MOVE, "to": "id of the release to go back to", "list": "list the releases that are kept"})
def rollback(c, to="", inventory="local", limit="", list=False, take_over=False, verbose=False):
    """Go back to the last known-good release of each host."""
    verb = "releases" if list else "rollback"
    play(c, verb, inventory=inventory, limit=limit, verbose=verbose, to=to, take_over=take_over)


@task(help={**PLAY, "json": "one JSON document instead of the table"})
def status(c, inventory="local", limit="", json=False, verbose=False):
    """Say what each host serves, who holds its lock, and whether the way back is open."""
    play(c, "status", *(["--json"] if json else []), inventory=inventory, limit=limit, verbose=verbose)


@task(help={**PLAY, "json": "the report's data alone, printed"})
def report(c, inventory="local", limit="", json=False, verbose=False):
    """Write the last rollout of each host as one page with plots, and as JSON, below reports/rollout."""
    play(c, "report", *(["--json"] if json else []), inventory=inventory, limit=limit, verbose=verbose)


@task(help=PLAY)
def verify(c, inventory="local", limit="", verbose=False):
    """Verify with testinfra that the deployed hosts are as they should be; it changes nothing."""
    play(c, "verify", inventory=inventory, limit=limit, verbose=verbose)


@task(help={**PLAY, "self-test": "let every gate judge releases that it must stop"})
def preflight(c, self_test=False, inventory="local", limit="", verbose=False):
    """Look for whatever would stop a rollout: every finding at once, each with its remedy."""
    play(c, "preflight", inventory=inventory, limit=limit, verbose=verbose, self_test=self_test)


@task(
    help={
        **PLAY,
        "data": "remove content, secrets and history too",
        "yes": "do not ask",
        "take-over": "remove it even while a run is at work on it",
    }
)
def destroy(c, data=False, yes=False, inventory="local", limit="", take_over=False, verbose=False):
    """Remove what was deployed and keep its data, unless --data says otherwise."""
    if data and not yes:
        agree(f"This removes the content, secrets and history of every host in {inventory!r} for ever.")
    play(c, "destroy", inventory=inventory, limit=limit, verbose=verbose, data=data, take_over=take_over)


def agree(warning: str) -> None:
    """Ask for a typed `yes`; raise Exit(2) for any other answer, and where nobody can answer."""
    if not sys.stdin.isatty():
        raise Exit(f"{warning} Nobody can be asked here: add --yes if you mean it.", code=2)
    if input(f"{warning} Type yes to go on: ").strip() != "yes":
        raise Exit("Nothing was removed.", code=2)


@task(
    help={
        "names": "images to build, as edge,bridge:py3.11; without it all",
        "python": "only the images of this Python",
        "base": "build on this image instead of our own root file system",
        "missing": "leave an image alone that was built from the same inputs",
        "no-cache": "build each layer anew",
        "json": "a JSON document instead of progress and table",
    },
)
def build(c, names="", python="", base="", missing=False, no_cache=False, json=False):
    """Build the images, hermetically: wheels and packages are fetched first, the build has no network."""
    flags = {"--missing": missing, "--no-cache": no_cache, "--json": json}
    options = {"--python": python, "--base": base}
    builder(
        c, *names.replace(",", " ").split(), *(word for pair in options.items() if pair[1] for word in pair),
        *(flag for flag, on in flags.items() if on),
    )  # fmt: skip


@task(name="verify")
def verify_images(c):
    """Start every image and verify it from outside, with molecule."""
    molecule(c, "images")


def molecule(c: Context, scenario: str) -> None:
    """Run one molecule scenario of tests/molecule, from create to destroy."""
    with c.cd("tests"):
        run(c, sys.executable, "-m", "molecule", "test", "--scenario-name", scenario)


@task(
    help={
        "only": "in-process, http, latency or plone, or some of them, separated by commas",
        "quick": "about a minute; its numbers are only indicative",
        "rounds": "rounds of every comparison, instead of 11 or, quick, 2",
    }
)
def bench(c, only="", quick=False, rounds=""):
    """Measure the bridge: both Pythons, CPU, added latency, a real Plone behind; report below reports/bench."""
    options = {"--only": only, "--rounds": rounds}
    flags = [word for pair in options.items() if pair[1] for word in pair] + (["--quick"] if quick else [])
    run(c, sys.executable, "-m", "tests.bench", *flags, PYTHONPATH="images:images/pilot/src")


@task
def check(c):
    """Run what needs no engine, some minutes: lint, types, unit, contract and template tests."""
    run(c, sys.executable, "-m", "ruff", "check", ".")
    run(c, sys.executable, "-m", "mypy")
    run(c, "ansible-lint", "--offline", "-q", ANSIBLE_CONFIG="ansible/ansible.cfg")
    pytest(c, *c.config.side_by_side)


@task(
    help={
        "stories": "only the rollout stories whose name holds this",
        "faults": "only the fault matrix, but all of it instead of today's cells: about two hours",
    }
)
def test(c, stories="", faults=False):  # noqa: PT028 - a task, not a test
    """Run everything: check, the images, the roles on hosts, and the rollout stories under load."""
    if not faults:
        check(c)
    play(c, "engine", inventory=c.config.test_inventory, limit="", verbose=False)
    builder(c, "--missing")
    if faults:
        run(c, sys.executable, "-m", "pytest", "tests/rollout/faults", "-v", EDUHUB_FAULTS="all")
        return
    for scenario in c.config.scenarios:
        molecule(c, scenario)
    # The templates once more: on a bare machine there was no HAProxy to read them before the images were built.
    suites = ["tests/templates", "tests/adapters", "tests/images", "tests/bridge", "tests/browser", "tests/rollout"]
    pytest(c, *suites, "-v", "--durations=25", "--durations-min=20", *(["-k", stories] if stories else []))


@task
def lock(c):
    """Renew the hashed locks from pyproject.toml and images/*/requirements.in."""
    for lock_file, words in c.config.locks.items():
        run(c, "uv", "pip", "compile", *c.config.lock_options, "--output-file", lock_file, *words.split())


class Front(Program):
    """Invoke, but a mistyped command line is refused with exit code 2 and what to type instead."""

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            verbs = [name for names in self.collection.task_names.items() for name in (names[0], *names[1])]
            near = [match for word in self.argv[1:] for match in difflib.get_close_matches(word, verbs, n=1)]
            hint = f"Did you mean `./invoke {near[0]}`?" if near and near[0] not in self.argv else ""
            advice = hint or "`./invoke --list` names the verbs, `./invoke --help VERB` their options."
            what = re.sub(r"Flag <Argument: ([\w-]+).*> needed value.*", r"--\1 needs a value.", str(error))
            raise Exit(f"invoke: {what} {advice}", code=2) from None


images = Collection("images", build, verify_images)
namespace = Collection(
    deploy, upgrade, confirm, rollback, status, report, verify, preflight, destroy, bench, check, test, lock, images
)  # fmt: skip
namespace.configure(
    {
        # They wait about half of their time. A file is not divided: its tests share what they started.
        "side_by_side": ["--numprocesses", str((os.cpu_count() or 1) * 3 // 2), "--dist", "loadfile"],
        "test_inventory": "tests/rollout/inventory",
        "scenarios": sorted(found.parent.name for found in Path("tests/molecule").glob("*/molecule.yml")),
        "lock_options": [
            "--universal", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links",
            "--no-annotate", "--no-header", "--quiet", "--fork-strategy", "fewest",
        ],
        "locks": {
            "images/bridge/requirements.txt": "--python-version 3.9 images/bridge/requirements.in",
            "tests/bench/requirements.txt": "--python-version 3.9 tests/bench/requirements.in",
            "images/pilot/requirements.txt":
                "--python-version 3.11 -c images/bridge/requirements.txt images/pilot/requirements.in",
            "requirements.txt":
                "--python-version 3.11 -c images/bridge/requirements.txt -c images/pilot/requirements.txt "
                "--group operate --group test pyproject.toml",
        },
    }
)  # fmt: skip

if __name__ == "__main__":
    try:
        Front(version="0.1.0", namespace=namespace, name="EduHub rollout", binary="./invoke").run()
    except BrokenPipeError:  # as in `./invoke --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
