"""A mistyped command line is refused with exit code 2 and the next command."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

import command_line
import tasks
from command_line.typed import LOOKS, READS
from tests.unit.tasks.checkout import CHECKOUT


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
        ("destroy --data --test", "Next: ./invoke --help status"),
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
        ("plone.upgrade --version 6.1 --dry-run --limit a", "./invoke plone.upgrade --version 6.1 --check --limit a"),
        ("plone.upgrade --version 6.1.4 --rehearse --check", "Next: ./invoke plone.upgrade --version 6.1.4 --check"),
        ("plone.rollback --dry-run --limit a", "status says what Plone can be rolled back to, and changes nothing."),
        ("plone.rollback --check --limit a", "Next: ./invoke status --limit a"),
        ("plone.pack --check --limit a", "Next: ./invoke status --limit a"),
        ("confirm --check --limit a", "Next: ./invoke status --limit a"),
        ("rollback --limit a --check", "status says what each host would be rolled back to, and changes nothing."),
        ("rollback --to x --check", "Next: ./invoke --help status"),
        ("certificates --check --limit a", "Next: ./invoke preflight --limit a"),
        ("maintenance on --check --limit a", "Next: ./invoke status --limit a"),
        ("maintenance --check on", "status says whether writes are taken, and changes nothing."),
        ("destroy --check --limit a", "Next: ./invoke status --limit a"),
        ("verify --check --limit a", "verify has no --check. It changes nothing itself."),
        ("verify --check --limit a", "Next: ./invoke verify --limit a"),
        ("plone.restore --to live --dry-run", "Next: ./invoke plone.restore --to live --check"),
        ("plone.restore --check", "Next: ./invoke plone.restore --to live --check\n      ./invoke plone.backups"),
        ("plone.restore --to live --from-copy --check", "from a backup that the host has"),
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


def test_every_verb_that_changes_a_host_has_a_check_or_another_verb_that_looks():
    """Of a verb without one, a person learns what to type: `--check` alone would be an option among others."""
    of_hosts = {context.name: context.flags for context in tasks.namespace.to_contexts() if "--limit" in context.flags}
    changing = {name for name, flags in of_hosts.items() if "--check" not in flags and name not in READS}
    assert changing - {"plone.lock"} == {*LOOKS}  # which writes a file of the checkout
    assert {*READS} <= {*of_hosts}


@pytest.mark.parametrize("home", ["~no-such-user/.ansible", "/dev/null/.ansible"])
def test_a_user_without_a_home_reads_what_to_set(home, monkeypatch):
    monkeypatch.setenv("ANSIBLE_HOME", home)
    done = run_dry("status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"invoke: Ansible keeps its files in {home}, where this user cannot write: "
        "name a directory of yours with ANSIBLE_HOME, or a home with HOME.\n"
    )


@pytest.mark.parametrize(
    ("conf", "name", "value"),
    [
        ("run: {echo: false, shell: /bin/nowhere}", "INVOKE_DEBUG", ""), ("no: [yaml", "INVOKE_DEBUG", ""),
        ("", "INVOKE_RUN_ECHO", "not a flag"), ("", "INVOKE_RUN_SHELL", "/bin/nowhere"),
    ],
)  # fmt: skip
def test_what_a_user_has_set_for_other_task_trees_does_not_count(tmp_path, monkeypatch, conf, name, value):
    (tmp_path / ".invoke.yaml").write_text(conf)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(name, value)
    command = [sys.executable, "tasks.py", "status", "--inventory", "no-such"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such" in done.stderr
    assert "Traceback" not in done.stderr
