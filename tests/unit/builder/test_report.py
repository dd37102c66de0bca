"""What the operator sees: a line a step, then a table, or JSON and nothing else."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from builder.report import Progress, Result, document, missed, table
from builder.security import Update

RESULTS = [
    Result("eduhub/base:bookworm", "3.11.2", 65_200_000, "sha256:28bd3db14b3faaaa", 0.0, "present", "i", "m"),
    Result("eduhub/edge:bookworm", None, 39_600_000, "sha256:2e58e49480b4aaaa", 29.3, "built", "i", "m"),
]


def test_the_table_has_a_line_an_image() -> None:
    """Image, Python, size, id, seconds, and whether it was built."""
    assert table(RESULTS) == (
        "IMAGE                 PYTHON     SIZE  ID            SECONDS  STATE\n"
        "eduhub/base:bookworm  3.11.2  65.2 MB  28bd3db14b3f      0.0  present\n"
        "eduhub/edge:bookworm  -       39.6 MB  2e58e49480b4     29.3  built"
    )


def test_an_image_without_security_fixes_says_since_when() -> None:
    """Whoever builds it should know."""
    ended = replace(RESULTS[0], end_of_life="2026-08-31")
    assert table([ended]).endswith("present, no security fixes since 2026-08-31")


def test_an_image_that_lacks_security_updates_says_how_many() -> None:
    """The table counts them, the document names them."""
    behind = replace(RESULTS[0], suite="bookworm", updates=(Update("zlib1g", "1.2", "1.3"),))
    assert table([behind]).endswith("present, 1 security update behind")
    assert json.loads(document([behind]))["images"][0]["updates"] == [{"package": "zlib1g", "old": "1.2", "new": "1.3"}]


def test_updates_are_told_once_a_suite_with_what_takes_them() -> None:
    """Images of one suite lack the same ones; of many, some are named and the others counted."""
    many = tuple(Update(f"lib{number}", "1", "2") for number in range(8))
    results = [replace(result, suite="bookworm", updates=many) for result in RESULTS]
    assert missed([RESULTS[0], *results]) == [
        (
            "Security updates of bookworm that images lack: lib0 1 -> 2, lib1 1 -> 2, lib2 1 -> 2, lib3 1 -> 2, "
            "lib4 1 -> 2, lib5 1 -> 2 and 2 more; build them with ./invoke images.build --fresh "
            "--names base:bookworm,edge:bookworm, and roll them out with ./invoke deploy."
        )
    ]
    assert missed(RESULTS) == []


def test_updates_that_a_fresh_build_did_not_get_are_the_mirrors() -> None:
    """A mirror may list a package before it has it."""
    behind = replace(RESULTS[0], suite="bookworm", updates=(Update("zlib1g", "1.2", "1.3"),))
    (sentence,) = missed([behind], fresh=True)
    assert sentence.endswith("zlib1g 1.2 -> 1.3; the mirror does not give them yet to base:bookworm; try again later.")


def test_the_document_is_json_with_the_same_facts() -> None:
    """Sizes in bytes and ids in full, for programs."""
    first = json.loads(document(RESULTS))["images"][0]
    assert (first["image"], first["size_bytes"], first["id"]) == (
        "eduhub/base:bookworm",
        65_200_000,
        "sha256:28bd3db14b3faaaa",
    )


def test_without_a_terminal_a_step_is_one_plain_line() -> None:
    """A CI log holds no control characters, and nothing twice."""
    stream = io.StringIO()
    with Progress(stream).step("pilot:py3.11", "wheels") as show:
        show("fetching")
        show("15 fetched")
    assert stream.getvalue().split() == ["pilot:py3.11", "wheels:", "15", "fetched", "0.0", "s"]


def test_a_step_that_fails_claims_no_duration() -> None:
    """The sentence that follows says what happened instead."""
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(stream).step("pilot:py3.11", "build"):
        raise KeyboardInterrupt
    assert stream.getvalue() == ""
