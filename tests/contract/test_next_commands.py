"""Each command that a message names as the next one, and each on a page, is one that can be typed."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from front.arguments.request import Request
from tests.contract.gates import every_task, read, task_files
from tests.typed import OPTIONS, VERBS, refusal

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDERS = ("images/pilot/src", "images/plone/src", "images/bridge/src", "ansible", "lab")
SOURCES = sorted(path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py"))
# Decisions name what was weighed and not made, too.
DOCUMENTS = sorted((CHECKOUT / "docs").rglob("*.md"))
PAGES = [CHECKOUT / "README.md", *(page for page in DOCUMENTS if page.parent.name != "decisions")]
VALUE = "VALUE"
# What a run may be of which a command names the verb.
ROLLOUTS = ("deploy", "upgrade", "rollback")
MOST = 64


def commands(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Yield line and words of each command of ./invoke that a program makes, in all ways that it may be made.

    What is known when it runs alone is VALUE; the verb of a run is each one that a run has.
    """
    given = lists(tree)
    for node in ast.walk(tree):
        for line, elements in written(node):
            ways = itertools.product(*(way(each, given, place) for place, each in enumerate(elements)))
            for words in itertools.islice(ways, MOST):
                yield line, [word for part in words for word in part]


def written(node: ast.AST) -> Iterator[tuple[int, list[ast.expr]]]:
    """Yield line and words of a list or tuple that begins with ./invoke, and those of a call of `Request.invoke`."""
    # One that repeats a request has what that was typed with, and the pilot's tests see what comes of it.
    repeats = isinstance(node, ast.List) and ast.unparse(node).startswith(("['./invoke', *", "['./invoke', self.verb"))
    words = node.elts if isinstance(node, ast.List | ast.Tuple) and not repeats else []
    if len(words) > 1 and is_word(words[0], "./invoke"):
        yield words[0].lineno, list(words)
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "invoke"
    if isinstance(node, ast.Call) and called and node.args and not isinstance(node.args[0], ast.Starred):
        yield node.lineno, [ast.Constant("./invoke"), *node.args]


def is_word(node: ast.expr, word: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == word


def lists(tree: ast.AST) -> Mapping[str, ast.expr]:
    """Return what each name of a program is given, where that is a list."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            found |= {name.id: each for name, each in pairs if isinstance(name, ast.Name)}
    return found


def way(node: ast.expr, given: Mapping[str, ast.expr], place: int) -> list[list[str]]:
    """Return the words that stand in the place of one element of a list, in each way that they may."""
    if isinstance(node, ast.Constant):
        return [[str(node.value)]]
    if isinstance(node, ast.IfExp):
        return [*way(node.body, given, place), *way(node.orelse, given, place)]
    if place == 1 and isinstance(node, ast.Name) and isinstance(given.get(node.id), ast.Constant | ast.IfExp):
        return way(given[node.id], {}, place)
    if isinstance(node, ast.Starred):
        return many(node.value, given)
    if place == 1 and isinstance(node, ast.Attribute) and node.attr == "verb":
        return [[verb] for verb in ROLLOUTS]
    return [[VALUE]]


def many(node: ast.expr, given: Mapping[str, ast.expr]) -> list[list[str]]:
    if isinstance(node, ast.IfExp):
        return [*many(node.body, given), *many(node.orelse, given)]
    if isinstance(node, ast.List | ast.Tuple):
        parts = itertools.product(*(way(each, given, 9) for each in node.elts))
        return [[word for part in words for word in part] for words in parts]
    if isinstance(node, ast.Name) and isinstance(given.get(node.id), ast.IfExp | ast.List | ast.Tuple):
        return many(given[node.id], {})
    return [[]]


def wrong(source: str, name: str) -> list[str]:
    """Return a line for each command of a program that cannot be typed."""
    found = commands(ast.parse(source))
    return [f"{name}:{line}: {' '.join(words)}: {why}" for line, words in found if (why := refusal(words))]


def named_by_tasks() -> dict[str, list[list[str]]]:
    """Return the next commands of each file of tasks."""
    return {
        str(path.relative_to(CHECKOUT)): [
            [str(word) for word in command]
            for task in every_task(read(path))
            for command in ((task.get("vars") or {}).get("failure") or {}).get("next") or []
        ]
        for path in task_files(CHECKOUT / "ansible")
    }


def shown(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield verb and options of each command in a text; what it stands for may be a part of a command."""
    for found in re.finditer(r"\./invoke ([a-z][a-z.]*[a-z])((?:\s+[^\s`#|;&)]+)*)", text):
        options = itertools.takewhile(lambda word: word != "./invoke", found[2].split())
        yield found[1], [option for word in options for option in re.findall(r"^\[?(--[a-z][a-z-]*)", word)]


def unknown(text: str) -> list[str]:
    """Return each verb, and each option of a verb, in a text that there is not."""
    found = []
    for verb, options in shown(text):
        if verb not in VERBS:
            found.append(verb)
        else:
            found += [f"{verb} {option}" for option in options if option not in {*OPTIONS[verb], "--help"}]
    return found


@pytest.mark.parametrize("path", [path for path in SOURCES if "invoke" in path.read_text()], ids=lambda path: path.stem)
def test_a_program_names_commands_that_can_be_typed(path):
    assert wrong(path.read_text(), path.name) == []


def test_a_task_names_commands_that_can_be_typed():
    named = named_by_tasks()
    found = {path: [words for words in each if refusal(words)] for path, each in named.items()}
    assert (sum(map(len, named.values())) > 20, {path: words for path, words in found.items() if words}) == (True, {})


@pytest.mark.parametrize("path", [str(path.relative_to(CHECKOUT)) for path in (*PAGES, *SOURCES)])
def test_a_text_names_verbs_and_options_that_there_are(path):
    assert unknown((CHECKOUT / path).read_text()) == []


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_gets_the_options_for_hosts_that_it_has(verb):
    request = Request("status", "campus", "host-1", login=(("--ask-become-pass",), ("--vault-password-file", "/v")))
    assert unknown(request.same_hosts(["./invoke", verb])) == []


@pytest.mark.parametrize("values", [{}, {"eduhub_python": "3.11"}], ids=["no Python", "a Python"])
@pytest.mark.parametrize("option", ["--resume", "--take-over"])
def test_an_upgrade_that_meets_an_earlier_run_can_be_typed(values, option):
    line = Request("upgrade", values={**values, "eduhub_resume": True}).without_recovery(option)
    assert refusal(line.split()) == ""


@pytest.mark.parametrize("source", [
    '["./invoke", rollout.verb, "--resume"]', '["./invoke", "upgrade"]', '("./invoke", "deploy", "--reset")',
    '["./invoke", "upgrade", *(["--hold"] if hold else []), "--take-over"]', 'request.invoke("deploy", "--hold")',
    'python = ["--python", name] if name else []\n["./invoke", "upgrade", *python]', '["./invoke", "maintenance"]',
    '["./invoke", "deploi"]',
])  # fmt: skip
def test_a_command_that_cannot_be_typed_is_found(source):
    assert wrong(source, "x.py")


@pytest.mark.parametrize("source", [
    '["./invoke", "upgrade", "--resume"]', '["./invoke", "upgrade", "--python", python]', '["docker", "logs", name]',
    'to = ["--to", name]\n["./invoke", "rollback", *to]', '["./invoke", "images.build", "--names", "pilot"]',
])  # fmt: skip
def test_one_that_can_is_not(source):
    assert wrong(source, "x.py") == []


def test_an_option_of_a_page_that_a_verb_does_not_have_is_found():
    text = "`./invoke deploy --resume`, `./invoke rollbak`\n./invoke upgrade --python X\n  --hold --nowait # --no\n"
    assert unknown(text) == ["deploy --resume", "rollbak", "upgrade --nowait"]
