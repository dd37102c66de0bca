"""The command tree: one verb for each intention. What a verb does is in ansible/, images/ and tests/."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from command_line import Hosts, LastingStream, ask_for_consent, beside, on_hosts, play, run
from command_line.host import patch
from command_line.images import (
    audit_images,
    build,
    builder,
    locks_of_versions,
    molecule,
    molecule_beside,
    newest_python,
    sbom_images,
    sign_images,
    upgraded,
    verify_images,
)
from command_line.kit import kit_engine, make_kit, verify_kit
from command_line.plone import backup, backups, confirm_plone, lock_plone, pack, restore, rollback_plone, upgrade_plone
from command_line.typed import CommandLine, Settings, refusal, task, typed_with
from lab.verbs import lab_down, lab_up

ACCEPT_SLOWER = "measure a slower release and take it, as for an older Python"
TAKE_OVER = "take the lock from the run that holds it, and undo that run"


def pytest(c: Context, *words: str, **env: str) -> None:
    """Run pytest with `words`, and `env` added to its environment."""
    run(c, sys.executable, "-m", "pytest", *words, **env)


@on_hosts(
    python="Python of the bridge; default: that of the live release, bridge_python for the first one",
    check="change nothing, show what would change",
    yes="agree to a change that cuts requests; without it such a change is refused", accept_slower=ACCEPT_SLOWER,
    take_over=TAKE_OVER,
)  # fmt: skip
def deploy(
    c: Context, hosts: Hosts, python: str = "", check: bool = False, yes: bool = False, accept_slower: bool = False,
    take_over: bool = False,
) -> None:  # fmt: skip
    """Deploy the stack as the inventory describes it: engine, images, Plone, edge, bridge."""
    flags = ["--check"] if check else []
    play(c, "engine", hosts, *flags, python=python)  # and build the images that the hosts need
    values = {"python": python, "yes": yes, "accept_slower": accept_slower, "take_over": take_over}
    play(c, "deploy", hosts, *flags, **values)


@on_hosts(
    python="target Python", hold="plan to leave the release unconfirmed until ./invoke confirm",
    confirm_within="seconds after which an unconfirmed host rolls back; default: pilot_confirm_seconds",
    accept_slower=ACCEPT_SLOWER, out="file for the plan as JSON, which ./invoke upgrade --plan carries out",
)  # fmt: skip
def plan(
    c: Context, hosts: Hosts, python: str = "", hold: bool = False, confirm_within: str = "",
    accept_slower: bool = False, out: str = "",
) -> None:  # fmt: skip
    """Show what an upgrade would do to each host, and change nothing."""
    values = {"python": python, "hold": hold, "confirm_within": confirm_within, "accept_slower": accept_slower}
    play(c, "plan", hosts, *(["--out", out] if out else []), **values)


@on_hosts(
    python="target Python", plan="file of ./invoke plan --out: do exactly that, or refuse",
    resume="continue an interrupted run",
    hold="leave the release unconfirmed until ./invoke confirm",
    confirm_within="seconds after which an unconfirmed host rolls back; default: pilot_confirm_seconds",
    accept_slower=ACCEPT_SLOWER, take_over=TAKE_OVER,
)  # fmt: skip
def upgrade(
    c: Context, hosts: Hosts, python: str = "", plan: str = "", hold: bool = False, confirm_within: str = "",
    resume: bool = False, accept_slower: bool = False, take_over: bool = False,
) -> None:  # fmt: skip
    """Upgrade the bridge to another Python, blue-green, without a failed request."""
    if not (python or plan or resume):
        newest = newest_python()
        raise refusal(
            f"upgrade asks for the Python: type --python {newest}. Other changes are rolled out by deploy, or by "
            "upgrade --plan FILE, as plan --out FILE shows it.",
            typed_with("--python", newest),
        )
    values = {"python": python, "hold": hold, "confirm_within": confirm_within, "resume": resume}
    flags = ["--plan", plan] if plan else []
    play(c, "upgrade", hosts, *flags, **values, accept_slower=accept_slower, take_over=take_over)


@on_hosts()
def confirm(c: Context, hosts: Hosts) -> None:
    """Confirm the release of `upgrade --hold`."""
    play(c, "confirm", hosts)


@on_hosts(to="id of the target release", list="list the releases of each host", take_over=TAKE_OVER)
def rollback(c: Context, hosts: Hosts, to: str = "", list: bool = False, take_over: bool = False) -> None:
    """Roll back to the last known-good release of each host."""
    play(c, "releases" if list else "rollback", hosts, to=to, take_over=take_over)


@on_hosts(state="on or off", reason="what clients are told whose writes are refused")
def maintenance(c: Context, hosts: Hosts, state: str, reason: str = "") -> None:
    """Refuse writes at the edge (on), or take them again (off). Reads go on."""
    play(c, "maintenance", hosts, state=state, reason=reason)


@on_hosts(
    check="change nothing, show what would change",
    yes="agree to drain the last host that takes traffic; without it that is refused",
)  # fmt: skip
def drain(c: Context, hosts: Hosts, check: bool = False, yes: bool = False) -> None:
    """Tell the balancer before a host to go elsewhere, and wait until it gets no more requests. Nothing is cut."""
    play(c, "drain", hosts, *(["--check"] if check else []), yes=yes)


@on_hosts(check="change nothing, show what would change")
def undrain(c: Context, hosts: Hosts, check: bool = False) -> None:
    """Tell the balancer before a drained host to come, once the host serves."""
    play(c, "undrain", hosts, *(["--check"] if check else []))


@on_hosts()
def certificates(c: Context, hosts: Hosts) -> None:
    """Serve renewed TLS certificates from now on, without cutting a connection."""
    play(c, "certificates", hosts)


@on_hosts()
def status(c: Context, hosts: Hosts) -> None:
    """Show the live release of each host, the lock holder, and whether a rollback is ready."""
    play(c, "status", hosts)


@on_hosts(request="id of the request: the X-Request-ID of its answer")
def trace(c: Context, hosts: Hosts, request: str) -> None:
    """Follow one request by its id through the logs of all hosts: edge, bridge, Plone."""
    play(c, "trace", hosts, request=request)


@on_hosts()
def report(c: Context, hosts: Hosts) -> None:
    """Write the last rollout of each host as a page with plots and as JSON, below reports/rollout."""
    play(c, "report", hosts)


@on_hosts()
def verify(c: Context, hosts: Hosts) -> None:
    """Verify the deployed hosts with testinfra, without changing them."""
    play(c, "verify", hosts)


@on_hosts(self_test="test every gate with releases that it must stop")
def preflight(c: Context, hosts: Hosts, self_test: bool = False) -> None:
    """Check everything that could stop a rollout; every finding comes with its remedy."""
    play(c, "preflight", hosts, self_test=self_test)


@on_hosts(
    data="remove content, secrets and history too", yes="do not ask",
    take_over="remove it even while a run is in progress",
)  # fmt: skip
def destroy(c: Context, hosts: Hosts, data: bool = False, yes: bool = False, take_over: bool = False) -> None:
    """Remove the stack. Its data is kept without --data."""
    if data and not yes:
        ask_for_consent(f"This removes content, secrets and history of {hosts.meant} for good.")
    play(c, "destroy", hosts, data=data, take_over=take_over)


@task(help={
    "from_": "Python to compare with; default: the oldest", "to": "Python to measure; default: the newest",
    "only": "in-process, http, latency, plone; several separated by commas",
    "quick": "about a minute; its numbers are only indicative",
    "rounds": "rounds of every comparison; default: 11, with --quick 2",
})  # fmt: skip
def bench(
    c: Context, only: str = "", quick: bool = False, rounds: str = "", from_: str = "", to: str = "",
) -> None:  # fmt: skip
    """Benchmark the bridge on two Pythons: CPU, added latency, a real Plone; report below reports/bench."""
    options = {"--only": only, "--rounds": rounds, "--from": from_, "--to": to}
    flags = [word for pair in options.items() if pair[1] for word in pair] + (["--quick"] if quick else [])
    run(c, sys.executable, "-m", "tests.bench", *flags, PYTHONPATH="images:ansible:images/pilot/src")


@task(help={"complete": "also the tests that are marked slow"})
def check(c: Context, complete: bool = False) -> None:
    """Run what tells most in little time: lint, types, and the quick tests. It needs no engine."""
    run(c, sys.executable, "-m", "ruff", "check", ".")
    # A minute on one core.
    with beside(c, "ansible-lint", "--offline", "-q", ANSIBLE_CONFIG="ansible/ansible.cfg"):
        run(c, sys.executable, "-m", "mypy")
        pytest(c, *c.config.side_by_side, *([] if complete else ["-m", "not slow"]))


@task(help={
    "stories": "only the tests whose name contains this, all their cases",
    "faults": "only the fault matrix, complete instead of a daily sample: about two hours",
    "hosts": "only the hosts that are played, all of them: bare ones, and those with settings of an institution",
    "complete": "also the cases that a run leaves to other days",
})  # fmt: skip
def test(
    c: Context, stories: str = "", faults: bool = False, hosts: bool = False, complete: bool = False,
) -> None:  # fmt: skip
    """Run everything: check, the images, the roles on hosts, and the rollout stories under load."""
    # First, since HAProxy, which the templates are tested with, is in one of them.
    play(c, "engine", Hosts(c.config.test_inventory))
    builder(c, "--missing")
    if faults:
        pytest(c, "tests/rollout/faults", "-v", EDUHUB_FAULTS="all")
        return
    if hosts:
        for suite in c.config.host_suites:
            molecule(c, "hosts", EDUHUB_SUITE=suite)
        suites = ["tests/rollout/campus", "tests/rollout/faults"]
        pytest(c, *suites, "-v", "-k", "campus or institution", EDUHUB_TESTS="all")
        return
    # A machine that boots and installs waits more than it computes: the quick checks run meanwhile. The tests that are
    # marked slow run after it, since some of them measure time.
    with molecule_beside(c, "hosts"):
        check(c)
    pytest(c, *c.config.side_by_side, "-m", "slow")
    for scenario in c.config.scenarios:
        molecule(c, scenario)
    suites = ["tests/adapters", "tests/images", "tests/bridge", "tests/browser", "tests/fleet", "tests/rollout"]
    words = [*suites, "-v", "--durations=40", "--durations-min=20", *(["-k", stories] if stories else [])]
    pytest(c, *words, **({"EDUHUB_TESTS": "all"} if complete or stories else {}))


@task(help={"upgrade-package": "packages of the locks to take the newest fitting release of, as h11,urllib3"})
def lock(c: Context, upgrade_package: str = "") -> None:
    """Update the hashed locks from pyproject.toml and the requirements.in of images, one for each version of Plone."""
    # uv knows no certificate authority of this machine's otherwise, such as that of a proxy that reads along.
    certificates = os.environ.get("UV_SYSTEM_CERTS", "1")
    options = [*c.config["lock_options"], *upgraded(upgrade_package)]
    for lock_file, words in {**c.config["locks"], **locks_of_versions()}.items():
        run(c, "uv", "pip", "compile", *options, "--output-file", lock_file, *words.split(),
            UV_SYSTEM_CERTS=certificates)  # fmt: skip


@task
def settings(c: Context) -> None:
    """Generate specs, defaults, tables, example and the programs' files from the description of the settings."""
    run(c, sys.executable, "-m", "settings", PYTHONPATH="ansible")


@task(help={"breaking": "publish it although it breaks clients of the published one"})
def openapi(c: Context, breaking: bool = False) -> None:
    """Publish the OpenAPI document of /api/v1 as docs/reference/openapi.json, unless it breaks clients."""
    flags = ["--breaking"] if breaking else []
    run(c, sys.executable, "-m", "tests.openapi", *flags, PYTHONPATH="images/bridge/src")


images = Collection("images", build, verify_images, audit_images, sbom_images, sign_images)
kits = Collection("kit", make_kit, verify_kit, kit_engine)
practice = Collection("lab", lab_up, lab_down)
host = Collection("host", patch)
plone = Collection(
    "plone", backup, backups, restore, pack, lock_plone, upgrade_plone, confirm_plone, rollback_plone
)  # fmt: skip
namespace = Collection(
    deploy, plan, upgrade, confirm, rollback, maintenance, drain, undrain, certificates, status, trace, report, verify,
    preflight, destroy, bench, check, test, lock, settings, openapi, images, host, plone, practice, kits,
)  # fmt: skip
namespace.configure(
    {
        # The tests wait about half of their time. A file is not divided: its tests share fixtures.
        "side_by_side": ["--numprocesses", str((os.cpu_count() or 1) * 3 // 2), "--dist", "loadfile"],
        "test_inventory": "tests/rollout/inventory",
        # The others than "hosts", which runs beside the quick checks.
        "scenarios": sorted({found.parent.name for found in Path("tests/molecule").glob("*/molecule.yml")} - {"hosts"}),
        "host_suites": ["bookworm", "trixie"],
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
    sys.stdout, sys.stderr = LastingStream(sys.stdout), LastingStream(sys.stderr)
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))["project"]
    CommandLine(
        version=project["version"], namespace=namespace, name="EduHub rollout", binary="./invoke",
        config_class=Settings,
    ).run()  # fmt: skip
