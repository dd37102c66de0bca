"""`/api/v1/docs` in chromium, without a network: styled under its own policy, in both schemes, wide and narrow."""

from __future__ import annotations

import json

import pytest

from eduhub_bridge.web import reference
from tests.browser.chromium import contrast, look
from tests.openapi.published import PUBLISHED


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    policy = reference.HEADERS["content-security-policy"].partition("; frame-ancestors")[0]  # the harness frames it
    page = reference.page(json.loads(PUBLISHED.read_text(encoding="utf-8")), "/api/v1/openapi.json")
    meta = f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">'
    return look(tmp_path_factory.mktemp("docs"), page.replace("<head>", meta, 1))


def test_the_policy_allows_all_that_the_page_has(seen):
    assert seen[1] == []
    assert [(each["requests"], each["scripts"]) for each in seen[0]] == [([], 0)] * 4


def test_nothing_is_wider_than_the_page(seen):
    assert [each["content"] <= each["width"] for each in seen[0]] == [True] * 4


def test_both_schemes_are_readable(seen):
    assert len({each["background"] for each in seen[0]}) == 2
    assert min(contrast(each["background"], each["ink"]) for each in seen[0]) >= 7  # WCAG 2.2, 1.4.6
