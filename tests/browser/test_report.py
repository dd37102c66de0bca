"""The report in chromium, without a network: drawn, legible, in both schemes, wide and narrow; it asks for nothing."""

from __future__ import annotations

import pytest

from front.report import page
from tests.browser import told
from tests.browser.chromium import contrast, look


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return look(tmp_path_factory.mktemp("report"), page.render(told.document()))


def test_the_console_stays_empty(seen):
    assert seen[1] == []


def test_nothing_is_asked_for_and_no_text_of_a_host_became_markup(seen):
    expected = ([], 0, "upgrade 20260101T093000Z-201b")
    assert [(each["requests"], each["scripts"], each["title"]) for each in seen[0]] == [expected] * 4


def test_every_plot_is_drawn_with_its_lines_in_every_width(seen):
    for frame in seen[0]:
        # Two hosts with weight, requests, latency and timeline each.
        assert len(frame["plots"]) == 8
        for plot in frame["plots"]:
            assert plot["paths"]
            assert min(plot["box"]) > 50
            assert all(max(path) > 0 for path in plot["paths"])


def test_texts_in_plots_are_legible_and_stay_inside(seen):
    for frame in seen[0]:
        assert [plot["outside"] for plot in frame["plots"]] == [[]] * 8
        assert min(plot["text"] for plot in frame["plots"]) >= 11


def test_plots_have_names_and_descriptions_and_tables_beside_them(seen):
    for frame in seen[0]:
        assert all(plot["named"] == [True, True] for plot in frame["plots"])
        # Hosts; then for each rollout verdicts, traffic by step, journal.
        assert frame["tables"] == 1 + 2 * 3
        assert len(frame["ids"]) == len(set(frame["ids"]))


def test_nothing_is_wider_than_the_page(seen):
    assert [each["content"] <= each["width"] for each in seen[0]] == [True] * 4


def test_both_schemes_are_readable(seen):
    ratios = {each["scheme"]: contrast(each["background"], each["ink"]) for each in seen[0]}
    backgrounds = {each["scheme"]: each["background"] for each in seen[0]}
    assert backgrounds["light"] != backgrounds["dark"]
    assert min(ratios.values()) >= 7  # WCAG 2.2, 1.4.6
