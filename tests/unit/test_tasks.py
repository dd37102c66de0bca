"""Each verb is the command line it is meant to be, and a mistyped one is refused with exit code 2."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from invoke import Config, Context, Exit, MockContext, Result, UnexpectedExit

import command_line
import tasks
from builder.catalogue import load
from front.output import closing

CHECKOUT = Path(__file__).resolve().parents[2]


class Done(Result):
    """The result of a program, and what is waited for where one runs beside others."""

    def join(self) -> Done:
        return self


def lines_of(task, *args, **options) -> list[str]:
    """The command lines `task` runs, without the interpreter's path."""
    context = MockContext(config=tasks.namespace.configuration() | {"run": {}}, run=Done(), repeat=True)
    task(context, *args, **options)
    return [call.args[0].replace(f"{sys.executable} -m ", "") for call in context.run.call_args_list]


VERBS = {
    "deploy": (
        (tasks.deploy, {"python": "3.9"}),
        [
            """front engine --inventory local --values '{"eduhub_python": "3.9"}'""",
            """front deploy --inventory local --values '{"eduhub_python": "3.9"}'""",
        ],
    ),
    "deploy --check": (
        (tasks.deploy, {"check": True}),
        ["front engine --inventory local --check", "front deploy --inventory local --check"],
    ),
    "upgrade": (
        (tasks.upgrade, {"python": "3.9", "limit": "h", "take_over": True}),
        ["""front upgrade --inventory local --limit h --values '{"eduhub_python": "3.9", "eduhub_take_over": true}'"""],
    ),
    "host.patch": (
        (tasks.patch, {"inventory": "lab", "reboot": "never", "check": True, "yes": True}),
        [
            """front host.patch --inventory lab --check --values '{"eduhub_reboot": "never", "eduhub_yes": true}'""",
        ],
    ),
    "lab.up": ((tasks.lab_up, {"hosts": "5", "suite": "trixie"}), ["lab up --hosts 5 --suite trixie"]),
    "lab.down": ((tasks.lab_down, {}), ["lab down"]),
    "plan --out": (
        (tasks.plan, {"python": "3.9", "out": "plan.json"}),
        ["""front plan --inventory local --out plan.json --values '{"eduhub_python": "3.9"}'"""],
    ),
    "upgrade --plan": (
        (tasks.upgrade, {"plan": "plan.json"}), ["front upgrade --inventory local --plan plan.json"],
    ),
    "upgrade --hold": (
        (tasks.upgrade, {"python": "3.9", "hold": True}),
        ["""front upgrade --inventory local --values '{"eduhub_python": "3.9", "eduhub_hold": true}'"""],
    ),
    "upgrade --resume": (
        (tasks.upgrade, {"resume": True, "confirm_within": "60"}),
        ["""front upgrade --inventory local --values '{"eduhub_confirm_within": "60", "eduhub_resume": true}'"""],
    ),
    "upgrade --accept-slower": (
        (tasks.upgrade, {"python": "3.9", "accept_slower": True}),
        ["""front upgrade --inventory local --values '{"eduhub_python": "3.9", "eduhub_accept_slower": true}'"""],
    ),
    "deploy --yes": (
        (tasks.deploy, {"yes": True}),
        [
            "front engine --inventory local",
            """front deploy --inventory local --values '{"eduhub_yes": true}'""",
        ],
    ),
    "confirm": ((tasks.confirm, {}), ["front confirm --inventory local"]),
    "rollback": ((tasks.rollback, {}), ["front rollback --inventory local"]),
    "rollback --list": ((tasks.rollback, {"list": True}), ["front releases --inventory local"]),
    "status --json": ((tasks.status, {"json": True}), ["front status --inventory local --json"]),
    "maintenance": (
        (tasks.maintenance, {"state": "on", "reason": "An upgrade"}),
        ["""front maintenance --inventory local --values '{"eduhub_state": "on", "eduhub_reason": "An upgrade"}'"""],
    ),
    "drain": (
        (tasks.drain, {"limit": "h", "yes": True}),
        ["""front drain --inventory local --limit h --values '{"eduhub_yes": true}'"""],
    ),
    "drain --check": (
        (tasks.drain, {"limit": "h", "check": True}), ["front drain --inventory local --limit h --check"],
    ),
    "undrain": ((tasks.undrain, {"limit": "h"}), ["front undrain --inventory local --limit h"]),
    "certificates": ((tasks.certificates, {}), ["front certificates --inventory local"]),
    "deploy --json": (
        (tasks.deploy, {"json": True}),
        ["front engine --inventory local --json", "front deploy --inventory local --json"],
    ),
    "trace": (
        (tasks.trace, {"request": "0346ffd1"}),
        ["""front trace --inventory local --values '{"eduhub_request": "0346ffd1"}'"""],
    ),
    "report": ((tasks.report, {"limit": "h"}), ["front report --inventory local --limit h"]),
    "report --json": ((tasks.report, {"json": True}), ["front report --inventory local --json"]),
    "verify": ((tasks.verify, {"verbose": True}), ["front verify --inventory local --verbose"]),
    "preflight --self-test": (
        (tasks.preflight, {"self_test": True}),
        ["""front preflight --inventory local --values '{"eduhub_self_test": true}'"""],
    ),
    "destroy --data --take-over": (
        (tasks.destroy, {"data": True, "yes": True, "take_over": True}),
        ["""front destroy --inventory local --values '{"eduhub_data": true, "eduhub_take_over": true}'"""],
    ),
    "plone.backup --full": (
        (tasks.backup, {"full": True}),
        ["""front plone.backup --inventory local --values '{"eduhub_full": true}'"""],
    ),
    "plone.backups": ((tasks.backups, {"limit": "h"}), ["front plone.backups --inventory local --limit h"]),
    "plone.restore --to live": (
        (tasks.restore, {"to": "live", "yes": True}),
        ["""front plone.restore --inventory local --values '{"eduhub_to": "live", "eduhub_yes": true}'"""],
    ),
    "plone.restore": (
        (tasks.restore, {"at": "2026-11-29"}),
        ["""front plone.restore --inventory local --values '{"eduhub_at": "2026-11-29"}'"""],
    ),
    "plone.pack --days 0": (
        (tasks.pack, {"days": "0"}),
        ["""front plone.pack --inventory local --values '{"eduhub_days": "0"}'"""],
    ),
    "plone.upgrade": (
        (tasks.upgrade_plone, {"python": "3.11"}),
        ["""front plone.upgrade --inventory local --values '{"eduhub_python": "3.11"}'"""],
    ),
    "plone.rollback": ((tasks.rollback_plone, {"limit": "h"}), ["front plone.rollback --inventory local --limit h"]),
    "bench": (
        (tasks.bench, {"only": "http,plone", "quick": True, "rounds": "5", "from_": "3.11", "to": "3.13"}),
        ["tests.bench --only http,plone --rounds 5 --from 3.11 --to 3.13 --quick"],
    ),
    "images.build": (
        (tasks.build, {"names": "edge,pilot", "no_cache": True, "base": "debian:12"}),
        ["builder edge pilot --base debian:12 --no-cache"],
    ),
    "images.build --version": (
        (tasks.build, {"names": "plone", "version": "6.1.4", "python": "3.13"}),
        ["builder plone --python 3.13 --version 6.1.4"],
    ),
    "images.build --inventory": (
        (tasks.build, {"inventory": "school", "fresh": True}), ["front images.build --inventory school -- --fresh"],
    ),
    "images.audit --inventory": (
        (tasks.audit_images, {"inventory": "school"}), ["front images.audit --inventory school --"],
    ),
    "images.sbom --inventory": (
        (tasks.sbom_images, {"inventory": "school", "to": "/srv"}),
        ["front images.sbom --inventory school -- --to /srv"],
    ),
    "plone.lock": (
        (tasks.lock_plone, {
            "inventory": "school", "version": "6.1.4", "python": "3.13", "upgrade_package": "h11,urllib3",
        }),
        [
            "front plone.lock --inventory school -- --version 6.1.4 --python 3.13 --upgrade-package h11 "
            "--upgrade-package urllib3 -- "
            + " ".join(tasks.namespace.configuration()["lock_options"])
        ],
    ),
    "images.build --fresh": ((tasks.build, {"fresh": True}), ["builder --fresh"]),
    "images.audit": (
        (tasks.audit_images, {"names": "edge,pilot", "advisories": "all.zip", "json": True}),
        ["builder.audit edge pilot --advisories all.zip --json"],
    ),
    "images.sign": (
        (tasks.sign_images, {"names": "bridge:py3.13,hub/own:1", "sign_key": "k"}),
        ["front images.sign --inventory local -- --names bridge:py3.13,hub/own:1 --sign-key k"],
    ),
    "images.sbom": ((tasks.sbom_images, {"names": "edge,pilot", "to": "/srv"}), ["builder.sbom edge pilot --to /srv"]),
    "kit": (
        (tasks.make_kit, {"inventory": "school", "python": "3.13", "suite": ["bookworm", "trixie"], "sign_key": "k"}),
        ["front kit --inventory school -- --python 3.13 --sign-key k --suite bookworm --suite trixie"],
    ),
    "kit --since": (
        (tasks.make_kit, {"suite": [], "since": "old.tar"}), ["front kit --inventory local -- --since old.tar"],
    ),
    "kit.verify": (
        (tasks.verify_kit, {"kit": "k.tar", "allowed_signers": "signers"}),
        ["builder.kit.verify --kit k.tar --allowed-signers signers"],
    ),
    "kit.engine": (
        (tasks.kit_engine, {}),
        ["builder.kit.packages --install docker.io iptables docker-cli apparmor"],
    ),
    "images.verify": ((tasks.verify_images, {}), ["molecule test --scenario-name images"]),
}


@pytest.mark.parametrize(("verb", "expected"), VERBS.values(), ids=VERBS)
def test_a_verb_runs_these_programs(verb, expected):
    task, options = verb
    assert lines_of(task, **options) == expected


def test_each_version_of_an_image_has_a_lock_for_its_oldest_python(tmp_path):
    catalogue = tmp_path / "images.yml"
    versions = "{'6': {pythons: ['3.11'], on_request: ['3.9']}, '7': {on_request: ['3.13']}}"
    catalogue.write_text(f"images: {{edge: {{}}, plone: {{versions: {versions}}}}}")
    assert command_line.images.locks_of_versions(catalogue) == {
        "images/plone/6/requirements.txt": "--python-version 3.9 images/plone/6/requirements.in",
        "images/plone/7/requirements.txt": "--python-version 3.13 images/plone/7/requirements.in",
    }


def test_a_package_that_no_requirement_names_is_upgraded_by_name():
    """uv keeps what a lock has of it otherwise."""
    lines = lines_of(tasks.lock, upgrade_package="h11, urllib3")
    assert len(lines) > 4
    assert all(" --upgrade-package h11 --upgrade-package urllib3 --output-file " in line for line in lines)
    assert not [line for line in lines_of(tasks.lock) if "--upgrade" in line]


def test_every_lock_that_an_image_is_built_from_is_renewed():
    renewed = {*tasks.namespace.configuration()["locks"], *command_line.images.locks_of_versions()}
    assert {f"images/{image.lock}" for image in load(on_request=True) if image.base} <= renewed


def test_the_whole_fault_matrix_is_played_instead_of_everything():
    config = Config(overrides=tasks.namespace.configuration())
    context = MockContext(config=config, run=Result(), repeat=True)
    tasks.test(context, faults=True)
    played = context.run.call_args_list[-1]
    assert (played.args[0].split("-m ")[-1], played.kwargs["env"]) == (
        "pytest tests/rollout/faults -v", {"EDUHUB_FAULTS": "all"},
    )  # fmt: skip


def test_every_host_is_played_instead_of_everything():
    context = MockContext(config=Config(overrides=tasks.namespace.configuration()), run=Result(), repeat=True)
    tasks.test(context, hosts=True)
    played = [(call.args[0].split("-m ")[-1], call.kwargs["env"]) for call in context.run.call_args_list]
    assert played[-3:] == [
        *(("molecule test --scenario-name hosts", {"EDUHUB_SUITE": suite}) for suite in ("bookworm", "trixie")),
        ("pytest tests/rollout/campus tests/rollout/faults -v -k 'campus or institution'", {"EDUHUB_TESTS": "all"}),
    ]
    assert str(played).count("pytest") == 1


def test_everything_is_checked_beside_and_after_the_machine_that_boots():
    context = MockContext(config=Config(overrides=tasks.namespace.configuration()), run=Done(), repeat=True)
    tasks.test(context)
    tests = " ".join(tasks.namespace.configuration()["side_by_side"])
    lines = [call.args[0].split("-m ", 1)[-1] for call in context.run.call_args_list]
    assert lines[2:-1] == [
        "molecule test --scenario-name hosts 2>&1", "ruff check .", "ansible-lint --offline -q 2>&1", "mypy",
        f"pytest {tests} -m 'not slow'", f"pytest {tests} -m slow",
        "molecule test --scenario-name images",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_beside_a_block_is_heard_of_after_it(capfd, code):
    failed = pytest.raises(UnexpectedExit) if code else nullcontext()
    with failed as info, command_line.beside(Context(), "sh", "-c", f"echo out; echo err >&2; exit {code}"):
        print("block", flush=True)
    assert capfd.readouterr().out == "block\nout\nerr\n"
    assert (info.value.result.exited if info else 0) == code


def test_a_block_that_fails_waits_for_what_runs_beside_it_and_says_its_own_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), command_line.beside(Context(), "sh", "-c", f"cd {tmp_path}; >done; exit 3"):
        raise ZeroDivisionError
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(("complete", "env"), [(False, {}), (True, {"EDUHUB_TESTS": "all"})])
def test_a_run_leaves_cases_to_other_days_unless_it_is_complete(complete, env):
    context = MockContext(config=Config(overrides=tasks.namespace.configuration()), run=Done(), repeat=True)
    tasks.test(context, complete=complete)
    assert context.run.call_args_list[-1].kwargs["env"] == env


@pytest.mark.parametrize(("task", "options"), [(tasks.destroy, {"data": True}), (tasks.restore, {"to": "live"})])
def test_removing_data_without_anybody_to_ask_is_refused(monkeypatch, task, options):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Exit) as refused:
        task(MockContext(run=Result()), **options)
    assert (refused.value.code, "--yes" in str(refused.value)) == (2, True)


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("dploy", "Next: ./invoke deploy"),
        ("destory --data --inventory a --limit h1", "Next: ./invoke destroy --data --inventory a --limit h1"),
        ("--help upgarde", "Next: ./invoke --help upgrade"),
        ("upgarde --help", "Next: ./invoke upgrade --help"),
        ("xyzzy", "Next: ./invoke --list"),
        ("--inventory a deploy", "Next: ./invoke deploy --inventory a"),
        ("--verbose --inventory=a status", "Next: ./invoke status --verbose --inventory=a"),
        ("--hold status", "Next: ./invoke --help status"),
        ("--limit check status", "Next: ./invoke --list"),
        ("--verbose", "Next: ./invoke --list"),
        ("plone", "Next: ./invoke --list plone"),
        ("images --missing", "Next: ./invoke --list images"),
        ("--help plone", "Next: ./invoke --list plone"),
        ("plone backup --inventory plone", "Next: ./invoke plone.backup --inventory plone"),
        ("--help plone backup", "Next: ./invoke --help plone.backup"),
        ("host patch", "Next: ./invoke host.patch"),
        ("plone bakup", "Next: ./invoke --list plone"),
        ("kit verify --kit a", "Next: ./invoke kit.verify --kit a"),
        ("kit status", "Next: ./invoke kit\n      ./invoke status"),
        ("backup", "Next: ./invoke plone.backup"),
        ("plone.bakup", "Next: ./invoke plone.backup"),
        ("dstroy --data --yes", "Next: ./invoke --list"),
        ("plone.pak", "Next: ./invoke --list plone"),
        ("plone.rstore --to live", "Next: ./invoke --list plone"),
        ("plone.pakc", "Next: ./invoke plone.pack"),
        ("unlock", "Next: ./invoke --list"),
        ("deploy --pyton 3.9 --inventory a", "Next: ./invoke deploy --python 3.9 --inventory a"),
        ("deploy --inventroy=a", "Next: ./invoke deploy --inventory=a"),
        ("deploy -check", "Next: ./invoke deploy --check"),
        ("deploy --dry-run", "Next: ./invoke deploy --check"),
        ("destroy --data --test", "Next: ./invoke --help destroy"),
        ("deploy --test", "Next: ./invoke deploy --check"),
        ("deploy --resume", "Next: ./invoke --help deploy"),
        ("drain --es", "Next: ./invoke --help drain"),
        ("destroy --dta", "Next: ./invoke --help destroy"),
        ("deploy --yse", "Next: ./invoke deploy --yes"),
        ("status --limit a --limit b", "--limit is given twice"),
        ("status --limit=a --limit=b", "--limit is given twice"),
        ("--list nosuch", "Next: ./invoke --list"),
        ("deploy --python", "--python needs a value"),
        ("deploy --python --check", "--python needs a value"),
        ("upgrade --python --chekc", "--python needs a value"),
        ("upgrade --check --python 3.9", "Next: ./invoke plan --python 3.9"),
        ("upgrade --resume --dry-run", "Next: ./invoke --help plan"),
        ("plone.upgrade --version 6.1 --check --limit a", "./invoke plone.upgrade --version 6.1 --rehearse --limit a"),
        ("plone.upgrade --version 6.1.4 --rehearse --check", "Next: ./invoke plone.upgrade --version 6.1.4 --rehearse"),
        ("plone.upgrade --check --limit a", "Next: ./invoke preflight --limit a"),
        ("plone.rollback --dry-run --limit a", "status says what Plone can be rolled back to, and changes nothing."),
        ("plone.rollback --check --limit a", "Next: ./invoke status --limit a"),
        ("plone.restore --to live --check", "Next: ./invoke --help plone.backups"),
        ("upgrade --xyzzy", "Next: ./invoke --help upgrade"),
        ("upgrade 3.13", "Next: ./invoke --help upgrade"),
        ("upgrade --hold --inventory a", "Next: ./invoke upgrade --hold --inventory a --python 3.13"),
        ("destroy -d", "destroy has no -d"),
        ("deploy -w", "deploy has no -w"),
        ("maintenance", "maintenance needs its state (on or off)."),
        ("maintenance --chekc", "maintenance has no --chekc"),
        ("preflight deploy --limit a", "Next: ./invoke preflight --limit a\n      ./invoke deploy --limit a"),
        ("check check", "One verb at a time"),
        ("deploy -- --limit h1", "Next: ./invoke deploy --limit h1"),
        ("destroy --inventory= --limit h1", "--inventory of destroy is empty"),
        ("upgrade --python 3.9 --limit ' '", "--limit of upgrade is empty"),
        ("upgrade --plan ''", "--plan of upgrade is empty"),
        ("kit --suite trixie --suite ''", "--suite of kit.make is empty"),
        ("images.sign --inventory ''", "--inventory of images.sign is empty"),
        ("maintenance ''", "state of maintenance is empty"),
        ("images.biuld", "Next: ./invoke images.build"),
    ],
)
def test_a_mistyped_line_is_refused_with_what_to_type(typed, advice):
    done = run_dry(*shlex.split(typed))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{advice}\n" in done.stderr if advice.startswith("Next") else advice in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("verb", [context.name for context in tasks.namespace.to_contexts()])
def test_a_verb_that_is_asked_for_help_shows_it_and_is_not_run(verb, option, capsys):
    assert ended(verb, option) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: ./invoke [--core-opts] {verb} ")


@pytest.mark.parametrize("line", ["maintenance on -h", "upgrade --hold -h", "deploy --limit -h", "--help upgrade"])
def test_help_is_shown_wherever_it_is_asked_for(line, capsys):
    assert ended(*line.split()) == 0
    assert capsys.readouterr().out.startswith("Usage: ./invoke [--core-opts] ")


def test_a_shell_that_completes_a_line_gets_the_verbs(capsys):
    assert ended("--complete", "--", "./invoke", "dep") == 0
    assert "deploy" in capsys.readouterr().out.split()


def test_no_verb_has_short_options_which_would_mean_another_word_on_the_next_verb():
    contexts = tasks.namespace.to_contexts()
    assert [(each.name, flag) for each in contexts for flag in each.flags if not flag.startswith("--")] == []
    assert [(each.name, arg.nicknames) for each in contexts for arg in each.args.values() if arg.nicknames] == []


def run_dry(*words: str) -> subprocess.CompletedProcess[str]:
    """Type words after a program that shows what it would run, and runs nothing, should it not refuse them."""
    command = [sys.executable, "tasks.py", "--dry", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout, done.stderr.replace(" --dry ", " "))


def ended(*words: str) -> int:
    """Type words, of which nothing is run, and return the exit code."""
    line = command_line.typed.CommandLine(version="0", namespace=tasks.namespace, binary="./invoke")
    with pytest.raises(SystemExit) as end:
        line.run(["./invoke", "--dry", *words])
    return int(end.value.code or 0)


def typed(line: str, redirected: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command line with the shell's redirections."""
    command = f"{shlex.quote(sys.executable)} tasks.py {line} {redirected}"
    return subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirected", ["<&-", "< /dev/null"])
def test_without_an_open_stdin_removing_data_is_refused_without_a_traceback(redirected):
    done = typed("destroy --data --inventory no-such", redirected)
    assert (done.returncode, done.stdout, "--yes" in done.stderr) == (2, "", True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirected", "code"),
    [("| true; exit ${PIPESTATUS[0]}", 2), (">&-", 2), (">&- 2>&-", 2)],
    ids=["a reader that is gone", "a closed stdout", "nothing open"],
)
def test_the_exit_code_is_that_of_the_program_whatever_becomes_of_stdout(redirected, code):
    done = typed("status --inventory no-such", redirected)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_what_a_program_prints_after_its_reader_left_is_dropped(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, tasks\n"
        "from invoke.context import Context\n"
        "sys.stdout = tasks.LastingStream(sys.stdout)\n"
        "many = 'for n in range(20000): print(n)'\n"
        "tasks.run(Context(), sys.executable, '-c', many)\n"
        "tasks.run(Context(), sys.executable, '-c', many + '\\nraise SystemExit(3)')\n"
    )
    command = f"PYTHONPATH=. {shlex.quote(sys.executable)} {script} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.stdout, "BrokenPipe" in done.stderr, done.returncode) == ("0\n", False, 1)


def test_with_any_locale_and_in_any_folder_the_verbs_work_in_utf_8(tmp_path):
    folder = tmp_path / "meine Prüfung"
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / "requirements.txt").touch()
    stamp = f"Python {platform.python_version()} {hashlib.sha256(b'').hexdigest()}  -"
    (folder / ".venv/stamp").write_text(stamp + "\n")
    (folder / "tasks.py").write_text("import sys; print(sys.getfilesystemencoding(), sys.stdout.encoding)")
    shutil.copy(CHECKOUT / "invoke", folder)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "EDUHUB_PYTHON": sys.executable}
    done = subprocess.run([folder / "invoke"], env=os.environ | ascii_only, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "utf-8 utf-8\n", "")


class Checkout:
    """A checkout with `invoke`, and a .venv of an earlier version of it, which is a link to another place."""

    def __init__(self, root: Path, requirements: str = "", made_of: str = "") -> None:
        self.root, self.elsewhere = root / "checkout", root / "elsewhere"
        (self.elsewhere / "bin").mkdir(parents=True)
        (self.root / ".git").mkdir(parents=True)
        self.program(self.elsewhere / "bin/python", f'exec {sys.executable} "$@"')
        (self.root / ".venv").symlink_to(self.elsewhere)
        (self.root / "requirements.txt").write_text(requirements)
        (self.elsewhere / "stamp").write_text(f"Python 3.11.1 {hashlib.sha256(made_of.encode()).hexdigest()}  -\n")
        (self.root / "tasks.py").write_text("import sys; print(sys.executable)")
        shutil.copy(CHECKOUT / "invoke", self.root)

    @staticmethod
    def program(path: Path, text: str) -> Path:
        """Write a shell script; return its path."""
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def types(self, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        """Type `./invoke` where no index can be asked."""
        environment = {**os.environ, "EDUHUB_PYTHON": python, "PIP_NO_INDEX": "1"}
        return subprocess.run(
            [self.root / "invoke"], env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    def is_as_before(self) -> bool:
        """Return whether .venv is the earlier one, and nothing else is left."""
        left = {path.name for path in self.root.iterdir()} & {".venv.new", ".venv.old"}
        return (self.root / ".venv").readlink() == self.elsewhere and (self.elsewhere / "stamp").exists() and not left


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ERROR: No matching distribution found for absent==1", "check the network or pip's index setting"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "free some disk"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "use another one"),
    ],
)
def test_where_packages_cannot_be_had_the_environment_of_the_version_before_is_kept(tmp_path, reason, advice):
    pip = f"echo '#!/bin/sh\necho \"{reason}\" >&2; exit 1' >.venv.new/bin/pip; chmod +x .venv.new/bin/pip; exit"
    python = f'case "$*" in "-m venv"*) mkdir -p .venv.new/bin; {pip} ;; esac; exec {sys.executable} "$@"'
    checkout = Checkout(tmp_path, made_of="others")
    done = checkout.types(str(Checkout.program(tmp_path / "python", python)))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (2, "", True)
    assert f"({reason})" in done.stderr
    assert advice in done.stderr
    assert "git checkout ORIG_HEAD" in done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'pyenv: python2.7: not found' >&2; echo advice >&2; exit 127", "pyenv: python2.7: not found"),
        ('[ "$1" != --version ] || echo "true (GNU coreutils) 9.1"', "true (GNU coreutils) 9.1"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_run_as_python_is_told_and_not_taken_for_an_old_one(tmp_path, text, why):
    python = Checkout.program(tmp_path / "python", text)
    done = Checkout(tmp_path).types(str(python))
    advice = "name another with EDUHUB_PYTHON=/usr/bin/python3.11"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"invoke: {python} does not run as Python ({why}); {advice}\n"


def test_a_directory_is_no_python(tmp_path):
    done = Checkout(tmp_path).types(str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"invoke: {tmp_path} does not run as Python ({tmp_path}: " in done.stderr


def test_an_old_python_is_told_with_its_version(tmp_path):
    answers = 'case "$*" in --version) echo Python 3.9.2 ;; *print*) echo 3 ;; *) exit 1 ;; esac'
    python = Checkout.program(tmp_path / "python", answers)
    done = Checkout(tmp_path).types(str(python))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("invoke: Python 3.9.2 is too old for the operator's machine, which needs 3.11 ")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [("No space left on device", "free some disk space"), ("strange", "repair the module venv of ")],
)
def test_what_cannot_be_made_anew_of_the_same_packages_is_used_as_it_is(tmp_path, reason, advice):
    fails = f'case "$*" in "-m venv"*) echo "{reason}" >&2; exit 1; esac; exec {sys.executable} "$@"'
    python = Checkout.program(tmp_path / "python", fails)
    checkout = Checkout(tmp_path)
    done = checkout.types(str(python))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (0, f"{sys.executable}\n", True)
    assert f"({reason}); {advice}" in done.stderr
    assert done.stderr.endswith("invoke: going on with the .venv of Python 3.11.1, which has the same packages\n")


@pytest.mark.parametrize("aside", [False, True], ids=["in its place", "moved aside by a run that was interrupted"])
def test_an_environment_that_does_not_work_is_kept_and_not_used(tmp_path, aside):
    python = Checkout.program(tmp_path / "python", f'[ "$2" != venv ] || exit 1; exec {sys.executable} "$@"')
    checkout = Checkout(tmp_path)
    Checkout.program(checkout.elsewhere / "bin/python", "exit 1")
    if aside:
        (checkout.root / ".venv").rename(checkout.root / ".venv.old")
    done = checkout.types(str(python))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (2, "", True)


@pytest.mark.slow
def test_a_new_environment_replaces_a_link_and_its_programs_start_from_where_it_is(tmp_path):
    checkout = Checkout(tmp_path / "with a space", made_of="others")
    done = checkout.types()
    here = checkout.root / ".venv"
    assert (done.returncode, done.stdout) == (0, f"{here}/bin/python\n")
    assert not here.is_symlink()
    assert (checkout.elsewhere / "bin/python").exists()
    assert [path.name for path in checkout.root.glob(".venv.*")] == [".venv.lock"]
    pip = subprocess.run([here / "bin/pip", "--version"], capture_output=True, text=True, check=False)
    assert (pip.returncode, f" from {here}/lib" in pip.stdout) == (0, True)
    assert checkout.types().stderr == ""


BERLIN = "the newest backup that was made until 2026-11-29 {} UTC, 2026-11-{} CET here."


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("", "by that of the newest backup."),
        ("2026-11-29 09:00", BERLIN.format("09:00:00", "29 10:00:00")),
        ("2026-11-29T09:00+01:00", BERLIN.format("08:00:00", "29 09:00:00")),
        ("20261129T034012Z", BERLIN.format("03:40:12", "29 04:40:12")),
        ("2026-11-29", BERLIN.format("23:59:59", "30 00:59:59")),
        ("yesterday", "the newest backup that was made until yesterday."),
    ],
)
def test_the_question_before_a_restore_names_the_time_in_utc_and_here(monkeypatch, at, expected):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")  # Berlin
    time.tzset()
    asked = []
    monkeypatch.setattr("command_line.plone.ask_for_consent", asked.append)
    monkeypatch.setattr("command_line.plone.play", lambda *_, **__: None)
    try:
        tasks.restore(Context(), at=at, to="live")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert asked[0].endswith(expected)


@pytest.mark.parametrize("answer", [EOFError, KeyboardInterrupt])
def test_no_answer_is_no_consent(monkeypatch, answer):
    def give(_: str) -> str:
        raise answer

    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", give)
    with pytest.raises(Exit) as refused:
        tasks.ask_for_consent("Gone for good.")
    assert refused.value.code == 2


@pytest.fixture
def typing(monkeypatch):
    """Somebody at a terminal who types `secret` whenever a password is asked for; the prompts."""
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: (asked.append(prompt), "secret")[1])
    command_line.typed_password.cache_clear()
    yield asked
    command_line.typed_password.cache_clear()


def test_a_password_is_asked_for_once_and_goes_on_in_a_file_of_this_user_alone(typing):
    lines = lines_of(tasks.deploy, ask_become_pass=True)
    assert typing == ["Become password: "]
    words = shlex.split(lines[0])
    file = Path(words[words.index("--become-password-file") + 1])
    assert (file.read_text(), file.parent.stat().st_mode & 0o777) == ("secret\n", 0o700)
    assert all("secret" not in line for line in lines)
    assert lines[1].split("--values")[0] == lines[0].replace("front engine", "front deploy").split("--values")[0]


def test_a_vault_password_file_is_named_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (line,) = lines_of(tasks.status, vault_password_file="vault.txt")  # noqa: S106 - a path
    assert line == f"front status --inventory local --vault-password-file {tmp_path}/vault.txt"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("status --inventory mine", "--inventory {}/mine"), ("status --inventory example", "--inventory example"),
        ("status --inventory nosuch", "--inventory nosuch"), ("status --inventory /mine", "--inventory /mine"),
        ("plan --python 3.13 --out a.json", "--out {}/a.json"), ("upgrade --plan=a.json", "--plan {}/a.json"),
        ("status --vault-password-file v", "--vault-password-file {}/v"), ("kit --since old", "--since {}/old"),
        ("plone.restore --to live --yes", '"eduhub_to": "live"'), ("images.sbom --to sboms", "--to {}/sboms"),
    ],
)  # fmt: skip
def test_a_file_is_meant_from_the_directory_where_it_is_typed(tmp_path, typed, meant):
    (tmp_path / "mine").mkdir()
    script = CHECKOUT / "invoke"
    done = subprocess.run(
        [script, "--dry", *shlex.split(typed)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, meant.format(tmp_path) in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("line", ["status --limmit x --json", "destroy --data --json < /dev/null"])
def test_a_program_that_asks_for_json_gets_it_of_a_refusal_too(line):
    done = typed(line)
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit"], found["hosts"]) == (2, 2, {})
    assert found["messages"][0] in done.stderr
    assert set(found) == set(closing.hostless_document(2, []))


@pytest.mark.parametrize(("option", "variable"), [("become", "BECOME"), ("vault", "VAULT")])
def test_without_a_terminal_nobody_is_asked_for_a_password(option, variable):
    done = typed(f"status --ask-{option}-pass", "< /dev/null")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"ANSIBLE_{variable}_PASSWORD_FILE" in done.stderr
    assert "Traceback" not in done.stderr
