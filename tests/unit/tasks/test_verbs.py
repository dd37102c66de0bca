"""Each verb is the command line it is meant to be."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from invoke import Config, Context, MockContext, Result, UnexpectedExit

import command_line
import tasks
from builder.catalogue import load
from tests.unit.tasks.lines import Done, lines_of

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
    "plone.restore --check": (
        (tasks.restore, {"to": "live", "check": True}),  # which asks for no consent
        ["""front plone.restore --inventory local --check --values '{"eduhub_to": "live"}'"""],
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
    "plone.upgrade --check": (
        (tasks.upgrade_plone, {"version": "6.1.4", "check": True}),
        ["""front plone.upgrade --inventory local --check --values '{"eduhub_version": "6.1.4"}'"""],
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
