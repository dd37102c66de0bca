"""The sentences in a task's result: the pilot's, a module's, a program's; never a traceback, never a secret."""

from __future__ import annotations

import pytest

from front import sentences

ANSWER = {"code": 1, "say": "It hangs.", "changed": False}


@pytest.mark.parametrize(
    ("result", "answers"),
    [
        ({"stdout": '{"code": 1, "say": "It hangs.", "changed": false}'}, [ANSWER]),
        ({"stdout": 'progress\n{"code": 1, "say": "It hangs.", "changed": false}\n'}, [ANSWER]),
        ({"results": [{"stdout": '{"code": 1, "say": "It hangs.", "changed": false}'}, {"stdout": "x"}]}, [ANSWER]),
        ({"stdout": '{"code": "1", "say": "It hangs."}'}, []),
        ({"stdout": '{"code": 1}'}, []),
        ({"stdout": "{broken"}, []),
        ({"censored": "hidden"}, []),
        ({}, []),
    ],
)
def test_the_pilots_answers_are_found_in_what_a_program_printed(result, answers):
    assert answers == list(sentences.pilot_answers(result))


def test_findings_are_a_sentence_each():
    findings = [{"what": "No disk", "remedy": "buy one"}, {"what": "No port", "remedy": "stop it"}]
    assert sentences.sentences_of({**ANSWER, "findings": findings}) == ["No disk: buy one.", "No port: stop it."]
    assert sentences.sentences_of(ANSWER) == ["It hangs."]


def test_findings_that_are_sentences_already_stay_as_they_are():
    findings = [{"what": "Nothing serves.", "remedy": "`x` says why."}, {"what": "It is full.", "remedy": ""}]
    said = ["Nothing serves. `x` says why.", "It is full."]
    assert sentences.sentences_of({**ANSWER, "findings": findings}) == said


FAILURES = {
    "a sentence of ours": ("fail", {"msg": "No network."}, ["No network."]),
    "a sentence of ours, in full name": ("ansible.builtin.assert", {"msg": ["One.", "Two."]}, ["One.\nTwo."]),
    "a module": ("apt", {"msg": "Task failed: Module failed: no package"}, ["T: no package"]),
    "a traceback": ("apt", {"msg": "Traceback (most recent call last):\n  File\nKeyError: y"}, ["T: KeyError: y"]),
    "a crash": ("apt", {"msg": "Broken", "module_stderr": "Traceback\nOSError: full\n"}, ["T: Broken (OSError: full)"]),
    "a program": (
        "command", {"msg": "non-zero return code", "rc": 4, "stdout": "a\nb", "stderr": "c"},
        ["T: it ended with exit code 4.\n  | a\n  | b\n  | c"],
    ),
    "items": ("apt", {"results": [{"failed": False}, {"failed": True, "msg": "no"}, {"failed": True, "msg": "nor"}]},
        ["T: no", "T: nor"],
    ),
    "a secret": ("apt", {"censored": "the output has been hidden", "msg": "password"}, [
        "T: Ansible hides the reason, which may hold a secret."
    ]),
    "silence": ("apt", {}, ["T: it gave no reason; --verbose shows everything."]),
}  # fmt: skip


@pytest.mark.parametrize(("action", "result", "said"), FAILURES.values(), ids=FAILURES)
def test_why_a_task_failed(action, result, said):
    assert said == sentences.failures_of("T", action, result)


def test_of_much_output_the_end_is_shown():
    result = {"msg": "x", "rc": 1, "stdout": "\n".join(map(str, range(50)))}
    assert ["x", *(f"  | {number}" for number in range(30, 50))] == sentences.failure_of(result).splitlines()


def test_only_what_was_not_said_before_is_new():
    said = {"No disk: buy one.", "No port: stop it."}
    complaints = ["No disk: buy one.", "No disk: buy one. No port: stop it.", "No disk: buy one. No time."]
    assert sentences.new_in(complaints, said) == ["No disk: buy one. No time."]


def test_a_repetition_is_known_without_the_tasks_name_and_without_a_log():
    assert {"T: why.\n  | log", "T: why.", "why.\n  | log", "why."} == sentences.heads("T: why.\n  | log")


def test_sentences_are_folded_and_logs_are_not():
    text = "one two three\n\n  a    log line\n| another log line\nr-1-2-3 x"
    assert list(sentences.wrapped(text, 8)) == [
        "one two",
        "three",
        "  a    log line",
        "| another log line",
        "r-1-2-3",
        "x",
    ]


def test_what_is_copied_is_not_torn():
    text = "Type `./invoke rollback --list` or see 20261124T021247Z-py3.11-c7381661."
    assert list(sentences.wrapped(text, 10)) == [
        "Type",
        "`./invoke rollback --list`",
        "or see",
        "20261124T021247Z-py3.11-c7381661.",
    ]
