"""What is observed of the images that a rollback needs."""

from __future__ import annotations

import pytest

from verify import observe

LIVE, GOOD = "20260101T000000Z-py3.11-aaaaaaaa", "20250101T000000Z-py3.9-bbbbbbbb"
LIVE_TAG, GOOD_TAG = (f"eduhub/kept:{each.lower()}" for each in (LIVE, GOOD))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (
            f'sha256:1 ["eduhub/bridge:py3.11","{LIVE_TAG}"]\nsha256:2 ["{GOOD_TAG}"]\n',
            {LIVE_TAG: True, GOOD_TAG: True},
        ),
        (f'sha256:1 ["{LIVE_TAG}"]\n\nsha256:2 null\n', {LIVE_TAG: True, GOOD_TAG: False}),
        (f'sha256:1 ["{LIVE_TAG}"]\n\n', {LIVE_TAG: True}),
        ("", {}),
    ],
    ids=["both", "a tag is gone", "an image is gone", "no engine"],
)
def test_a_tag_is_missed_only_where_its_image_is_there(monkeypatch, printed, expected):
    monkeypatch.setattr(observe, "run", lambda *_: (printed, None))
    assert observe.kept({LIVE: "sha256:1", GOOD: "sha256:2"}) == expected


def test_what_serves_around_a_takeover_is_not_taken_for_what_serves(monkeypatch):
    asked = []
    listed = """eduhub-edge edge
eduhub-edge-ending-1a2b3c edge
eduhub-edge-next edge
eduhub-plone plone
eduhub-plone-standby plone
eduhub-plone-endpoint plone_endpoint
eduhub-plone-endpoint-stand-in plone_endpoint
eduhub-shift pilot
"""
    monkeypatch.setattr(observe, "run", lambda *words: asked.append(words) or (listed if "ps" in words else "[]", None))
    assert observe.inspected("eduhub") == ([], None)
    assert asked[-1] == ("docker", "inspect", "eduhub-edge", "eduhub-plone", "eduhub-plone-endpoint")
