"""Command lines as they are typed: the one that was, and others about the same hosts."""

from __future__ import annotations

import pytest

from front.arguments.request import Request


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (Request("deploy"), "./invoke deploy"),
        (Request("engine"), "./invoke deploy"),
        (Request("releases"), "./invoke rollback --list"),
        (Request("deploy", "my hosts", "a,b"), "./invoke deploy --inventory 'my hosts' --limit a,b"),
        (
            Request("upgrade", values={"eduhub_python": "3.11", "eduhub_take_over": True}),
            "./invoke upgrade --python 3.11 --take-over",
        ),
    ],
)
def test_the_same_command_can_be_typed_again(request_, line):
    assert request_.command == line


def test_a_request_survives_its_way_through_the_environment():
    request = Request("upgrade", "campus", "a", {"eduhub_python": "3.11"})
    assert Request.from_json(request.to_json()) == request


def test_what_changes_nothing_is_told_as_what_changes_nothing():
    request = Request("host.patch", "campus", "a", {"eduhub_reboot": "never", "eduhub_take_over": True}, check=True)
    hosts = "--inventory campus --limit"
    assert request.command == f"./invoke host.patch --reboot never --take-over --check {hosts} a"
    assert request.limited("b").command == f"./invoke host.patch --reboot never --take-over --check {hosts} b"
    assert request.without_recovery("--resume") == f"./invoke host.patch --reboot never --check --resume {hosts} a"
    assert Request.from_json(request.to_json()) == request


def test_a_run_is_dealt_with_in_one_way():
    request = Request("upgrade", "campus", values={"eduhub_resume": True, "eduhub_python": "3.11"})
    assert request.without_recovery("--take-over") == "./invoke upgrade --python 3.11 --take-over --inventory campus"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["./invoke", "rollback"], "./invoke rollback --inventory 'my x' --limit a"),
        (
            ["./invoke", "rollback", "--to", "it's"],
            """./invoke rollback --to 'it'"'"'s' --inventory 'my x' --limit a""",
        ),
        (["./invoke", "status", "--inventory", "other"], "./invoke status --inventory other --limit a"),
        (["./invoke", "images.build"], "./invoke images.build"),
        (["./invoke", "--list"], "./invoke --list"),
        (["docker", "logs", "x"], "docker logs x"),
    ],
)
def test_a_next_command_is_about_the_same_hosts(arguments, line):
    assert Request("upgrade", "my x", "a").same_hosts(arguments) == line


def test_the_state_is_that_of_the_whole_inventory_and_a_limit_can_be_another():
    request = Request("upgrade", "campus", "a,b", {"eduhub_python": "3.9"})
    assert request.status == "./invoke status --inventory campus"
    assert request.invoke("confirm", limit="a") == "./invoke confirm --inventory campus --limit a"


def test_next_commands_give_passwords_as_this_one_did():
    request = Request("upgrade", "campus", login=(("--ask-become-pass",), ("--vault-password-file", "/v")))
    login = "--ask-become-pass --vault-password-file /v"
    assert request.invoke("rollback") == f"./invoke rollback --inventory campus {login}"
    assert request.command == f"./invoke upgrade --inventory campus {login}"
    assert Request.from_json(request.to_json()) == request


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["./invoke", "rollback"], " --limit b"),
        (["./invoke", "confirm"], " --limit b"),
        (["./invoke", "upgrade", "--python", "3.11", "--take-over"], " --limit b"),
        (["./invoke", "rollback", "--list"], " --limit b"),
        (["./invoke", "upgrade", "--python", "3.11", "--resume"], " --limit b:c"),
        (["./invoke", "status"], " --limit b:c"),
        (["./invoke", "images.build"], ""),
        (["docker", "ps"], ""),
    ],
)
def test_what_a_host_is_told_to_type_takes_no_other_host_back(words, limit):
    """A lock that is held on one of several hosts must not lead to a rollback of all."""
    told = Request("upgrade", "x", "b:c").of_host("b").same_hosts(words)
    assert told.endswith(limit or words[-1])
