"""The published host matrix is the one in the tree, and says of each host by what it is played."""

from __future__ import annotations

from tests.molecule.hosts.published import CHECKOUT, PAGE, matrix, page


def test_the_page_is_what_the_matrix_makes():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.molecule.hosts.published writes it anew"


def test_what_is_played_names_a_suite_and_what_is_not_says_so():
    played = [row["played"] for row in matrix() if "played" in row]
    assert [suite for suite in played if not (CHECKOUT / suite).is_dir()] == []
    assert page().count("| not measured |") == len(matrix()) - len(played)
