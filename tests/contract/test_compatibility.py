"""The page about compatibility says what is compared."""

from __future__ import annotations

from pathlib import Path

from tests.bridge.document import document

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/compatibility.md"


def test_the_page_is_what_the_tables_print():
    assert PAGE.read_text() == document()  # python -m tests.bridge.document > docs/reference/compatibility.md
