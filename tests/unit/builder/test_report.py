"""What the operator sees: a line a step, then a table, or JSON and nothing else."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from builder.report import Progress, Result, document, table

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
