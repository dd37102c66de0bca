"""What a task's result tells: an answer's fields, or a module's or program's text; no traceback, no secret."""

from __future__ import annotations

import json

import pytest

from front.run import messages
from front.run.messages import Message

ANSWER = {"code": "slot_silent", "exit": 1, "phase": "prove", "message": "It hangs.", "next": [], "changed": False}
PRINTED = json.dumps(ANSWER)


@pytest.mark.parametrize(
    ("result", "codes"),
    [
        ({"stdout": PRINTED}, ["slot_silent"]),
        ({"stdout": f"progress\n{PRINTED}\n"}, ["slot_silent"]),
        ({"results": [{"stdout": PRINTED}, {"stdout": "x"}]}, ["slot_silent"]),
        ({**ANSWER, "invocation": {}}, ["slot_silent"]),  # a module of ours
        ({"stdout": '{"code": 1, "say": "It hangs.", "exit": 1}'}, []),  # an older pilot
        ({"stdout": json.dumps({**ANSWER, "exit": True})}, []),
        ({"stdout": json.dumps({**ANSWER, "findings": ["x"]})}, []),
        ({"stdout": json.dumps({**ANSWER, "next": 7})}, []),
        ({"stdout": '{"code": "slot_silent"}'}, []),
        ({"stdout": "[1]\n{broken"}, []),
        ({"censored": "hidden"}, []),
        ({}, []),
    ],
)
def test_answers_are_found_in_fields_and_in_what_a_program_printed(result, codes):
    assert [answer.code for answer in messages.answers(result)] == codes


def test_an_answer_has_its_fields_and_the_rest_as_data():
    (answer,) = messages.answers({"stdout": json.dumps({**ANSWER, "next": [["docker", "logs", 7]], "within": 3})})
    assert (answer.exit, answer.next, answer.data["within"]) == (1, (("docker", "logs", "7"),), 3)
    assert answer.messages == (Message("slot_silent", "It hangs.", (("docker", "logs", "7"),)),)


def test_the_findings_of_an_answer_are_its_messages():
    findings = [
        {"code": "disk_short", "message": "No disk.", "next": []},
        {"code": "port_taken", "message": "No port.", "next": [["ss", "-tlp"]]},
    ]
    (answer,) = messages.answers({"stdout": json.dumps({**ANSWER, "findings": findings})})
    assert [message.document() for message in answer.messages] == findings


NO_ANSWER = "Action failed: Module result deserialization failed: No start of json char found"
NO_MODULE = "the host gave no answer, and no reason"
GIVE_IT = "add --ask-become-pass, or set ansible_become_password in an encrypted file of the inventory"
OTHER_PYTHON = "set ansible_python_interpreter in the inventory to a Python 3 that runs there"
FAILURES = {
    "a text of ours": ("fail", {"msg": "No network."}, ["No network."]),
    "a text of ours, by the full name": ("ansible.builtin.assert", {"msg": ["One.", "Two."]}, ["One.\nTwo."]),
    "a module": ("apt", {"msg": "Task failed: Module failed: no package"}, ["T: no package"]),
    "a module that died": (
        "apt", {"msg": "Traceback (most recent call last):\n  File\nKeyError: y", "exception": 1}, ["T: KeyError: y"],
    ),
    "a crash": ("apt", {"msg": "Broken", "module_stderr": "Trace\nOSError: full\n"}, ["T: Broken (OSError: full)"]),
    "a program": (
        "command", {"msg": "non-zero return code", "rc": 4, "stdout": "a\nb", "stderr": "c"},
        ["T: it ended with exit code 4.\n  | a\n  | b\n  | c"],
    ),
    "a silent program": ("command", {"msg": "non-zero return code", "rc": 4}, ["T: it ended with exit code 4."]),
    "a program that is missing": (
        "command", {"msg": "Error executing command: [Errno 2] No such file", "rc": 2},
        ["T: Error executing command: [Errno 2] No such file"],
    ),
    "items": ("apt", {"results": [{"failed": False}, {"failed": True, "msg": "no"}, {"failed": True, "msg": "nor"}]},
        ["T: no", "T: nor"],
    ),
    "a secret": ("apt", {"censored": "the output has been hidden", "msg": "password"}, [
        "T: Ansible hides the reason, which may hold a secret."
    ]),
    "doas without a password": (
        "host_readiness", {"msg": NO_ANSWER, "module_stdout": "doas: Authentication required\r\n", "rc": 1},
        [f"T: doas: Authentication required: {GIVE_IT}."],
    ),
    "doas with a wrong one": (
        "host_readiness", {"msg": NO_ANSWER, "module_stdout": "\r\r\ndoas: Authentication failed\r\n", "rc": 1},
        [f"T: doas: Authentication failed: {GIVE_IT}."],
    ),
    "su without a password": (
        "host_readiness", {"msg": "Task failed: Timeout (12s) waiting for privilege escalation prompt:"},
        [f"T: Timeout (12s) waiting for privilege escalation prompt: {GIVE_IT}."],
    ),
    "sudo without a password": (
        "host_readiness", {"msg": "Task failed: Missing sudo password"},
        [f"T: Missing sudo password: {GIVE_IT}."],
    ),
    "a user who may not become root": (
        "host_readiness", {"msg": NO_ANSWER, "module_stderr": "zoe is not in the sudoers file.\n", "rc": 1},
        ["T: zoe is not in the sudoers file."],
    ),
    "sudo that wants a terminal": (
        "host_readiness", {"msg": NO_ANSWER, "module_stderr": "sudo: sorry, you must have a tty to run sudo\n"},
        ["T: sudo: sorry, you must have a tty to run sudo: set ansible_pipelining: false in the inventory."],
    ),
    "a Python that is only a name": (
        "setup", {
            "msg": NO_ANSWER, "module_stdout": "", "rc": 127,
            "module_stderr": "pyenv: python3.13: command not found\n\nThe `python3.13' command exists in:\n  3.13.0\n\n"
                             "Note: See 'pyenv help global' for tips on allowing multiple\n"
                             "      Python versions to be found at the same time.\n",
            "ansible_facts": {"discovered_interpreter_python": "/home/ada/.pyenv/shims/python3.13"},
        },
        [f"T: pyenv: python3.13: command not found (/home/ada/.pyenv/shims/python3.13): {OTHER_PYTHON}."],
    ),
    "a Python that is not there": (
        "setup", {"msg": "The module interpreter '/usr/bin/python9' was not found.", "rc": 127,
                  "module_stderr": "/bin/sh: 1: /usr/bin/python9: not found\n"},
        [f"T: The module interpreter '/usr/bin/python9' was not found: {OTHER_PYTHON}."],
    ),
    "doas that is not there": (
        "setup", {"msg": NO_ANSWER, "module_stderr": "/bin/sh: 1: doas: not found\n", "rc": 127},
        ["T: /bin/sh: 1: doas: not found"],
    ),
    "a module that was killed": ("apt", {"msg": NO_ANSWER, "module_stdout": "", "module_stderr": "", "rc": 137}, [
        f"T: {NO_MODULE} (exit code 137)."
    ]),
    "a module whose answer is cut off": (
        "apt", {"msg": NO_ANSWER, "module_stdout": '{"invocation": {"password": "x"', "rc": 1},
        [f"T: {NO_MODULE} (exit code 1)."],
    ),
    "silence": ("apt", {}, ["T: it gave no reason; --verbose shows everything."]),
}  # fmt: skip


@pytest.mark.parametrize(("action", "result", "texts"), FAILURES.values(), ids=FAILURES)
def test_why_a_task_failed(action, result, texts):
    assert texts == [message.message for message in messages.failures("T", action, result, {})]


@pytest.mark.parametrize(
    ("result", "variable", "code", "commands"),
    [
        ({}, {}, "task_failed", ()),
        ({"unreachable": True}, {}, "host_unreachable", ()),
        ({}, {"code": "image_missing", "next": [["./invoke", "images.build"]]}, "image_missing",
         (("./invoke", "images.build"),)),
    ],
)  # fmt: skip
def test_a_failed_task_has_a_code_and_the_next_commands_that_it_names(result, variable, code, commands):
    (message,) = messages.failures("T", "fail", {"msg": "x", **result}, variable)
    assert (message.code, message.next) == (code, commands)


def test_of_much_output_the_end_is_shown():
    result = {"msg": "x", "rc": 1, "stdout": "\n".join(map(str, range(50)))}
    lines = messages.reason(result).splitlines()
    assert lines[1:] == [f"  | {number}" for number in range(30, 50)]


@pytest.mark.parametrize("what", ["Missing", "Incorrect"])
def test_a_password_that_sudo_needs_comes_with_how_to_give_it(what):
    (message,) = messages.failures("Look", "stat", {"msg": f"Task failed: {what} sudo password", "failed": True}, {})
    remedy = "add --ask-become-pass, or set ansible_become_password in an encrypted file of the inventory"
    assert message.message == f"Look: {what} sudo password: {remedy}."
