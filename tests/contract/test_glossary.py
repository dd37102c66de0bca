"""One word for one thing: the words that the glossary replaced stand nowhere that a reader looks."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# What is read. Widen it by a glob. `MARKDOWN` files are read without listings and quoted names, of `PYTHON` files the
# comments and docstrings without quoted names, others as they stand.
GLOBS = [
    "README.md", "CHANGELOG.md", "docs/**/*.md", "inventories/**/*.yml", "tasks.py", "ansible/**/*.py",
    "command_line/**/*.py", "lab/**/*.py", "images/builder/**/*.py", "images/*/src/**/*.py",
]  # fmt: skip

# pattern of what is refused (whole words, any case): what to write
REFUSED = {
    r"ways? back": "rollback",
    r"doors?": "private endpoint; entry point (of a role)",
    r"(?:(?:green|blue|slot|release)'s|its) share|share of (?:the |its )?(?:traffic|requests)": "traffic weight",
    r"lookouts?": "monitor",
    r"testimon(?:y|ies)": "sample, public check",
    r"witness(?:es|ed)?": "load generator, public check",
    r"goodbyes?": "drain",
    r"patien(?:t|ce)": "drain timeout, timeout",
    r"excuse[sd]?": "waiver",
    r"wish(?:es)?": "request, options",
    r"mend(?:s|ed|ing)?": "fix",
    r"beside itself": "A/A noise",
    r"(?:the|a) lock (?:is|was|becomes) stale|stale locks?": "lock expired",
    r"what (?:it is that )?serves": "live release",
    r"whoever|whatever serves": "the subject itself",
    r"nobody": "the subject itself",
    r"the legacy": "Plone, upstream",
}

# (file, what is found there): why it stays
ALLOWED: dict[tuple[str, str], str] = {}

MARKDOWN, PYTHON = ".md", ".py"
LISTING = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)  # what a program prints: held where the program says it
QUOTED = re.compile(r"`[^`]*`")  # names of settings, fields and files
TARGET = re.compile(r"\]\([^)]*\)")  # addresses of links


def prose(path: Path) -> str:
    """Return the text of a file; of a page and of code without what it quotes, with its lines where they were."""
    text = path.read_text()
    if path.suffix not in {MARKDOWN, PYTHON}:
        return text
    if path.suffix == PYTHON:
        text = explained(text)
    for pattern in (LISTING, QUOTED, TARGET) if path.suffix == MARKDOWN else (QUOTED,):
        text = pattern.sub(lambda found: "\n" * found.group().count("\n"), text)
    return text


def explained(code: str) -> str:
    """Return the comments and docstrings of Python's code, with their lines where they were."""
    lines = code.splitlines()
    kept = [""] * len(lines)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            kept[token.start[0] - 1] = token.string
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            begin, end = node.body[0].lineno - 1, node.body[0].end_lineno
            kept[begin:end] = lines[begin:end]
    return "\n".join(kept)


def refused(name: str, text: str) -> list[str]:
    """Return a line for each refused word in `text`: file, line, the word, and what to write instead."""
    found = []
    for pattern, instead in REFUSED.items():
        # A line break is a space: a phrase may stand on two lines.
        for match in re.finditer(rf"\b(?:{pattern.replace(' ', chr(92) + 's+')})\b", text, re.IGNORECASE):
            word = " ".join(match.group().split())
            if (name, word.lower()) not in ALLOWED:
                found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {word}, write {instead}")
    return sorted(found)


def files() -> list[Path]:
    return sorted({path for glob in GLOBS for path in CHECKOUT.glob(glob)})


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_file_uses_the_words_of_the_glossary(path):
    assert refused(str(path.relative_to(CHECKOUT)), prose(path)) == []


def test_each_exception_is_still_needed():
    used = {(str(path.relative_to(CHECKOUT)), word) for path in files() for word in prose(path).lower().split()}
    assert set(ALLOWED) - used == set()


def test_a_refused_word_is_named_with_its_line_and_the_word_to_write():
    assert refused("page.md", "First.\nMend the way\nback.\n") == [
        "page.md:2: Mend, write fix",
        "page.md:2: way back, write rollback",
    ]


def test_only_whole_words_are_refused():
    assert refused("page.md", "Amended indoors; impatient readers share a table.") == []


def test_what_a_page_quotes_is_not_its_prose(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("`edge_goodbye_seconds`\n```\nway back\n```\n[a](door.md) mend\n")
    assert refused("page.md", prose(page)) == ["page.md:5: mend, write fix"]


def test_of_code_comments_and_docstrings_are_read(tmp_path):
    module = tmp_path / "module.py"
    module.write_text('"""Says `door`.\n\nA door.\n"""\ndoor = "a door"  # a door\n')
    assert refused("module.py", prose(module)) == [
        f"module.py:{line}: door, write private endpoint; entry point (of a role)" for line in (3, 5)
    ]
