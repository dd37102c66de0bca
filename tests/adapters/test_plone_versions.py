"""An upgrade to another version of Plone leaves the served database as it is, and no version opens another's."""

from __future__ import annotations

from tests.adapters.plone_image import printed


def test_each_version_has_its_own_database_and_what_was_left_is_opened_by_none() -> None:
    found = printed("plone_versions.py")
    left = "the database in "
    assert {name: value for name, value in found.items() if name not in {"versions", "old version", "leaving"}} == {
        "entered": {".": "first", "versions/6.1": "first"}, "left": {".": "first"},
        "written meanwhile": "plone_written_meanwhile", "while open": [False, True], "leave while open": "plone_runs",
        "after a scale": None, "other label": "plone_label_differs", "stage while open": "plone_runs",
        "stage while the first is open": "plone_runs",
        "confirmed": {".": "second", "versions/6.1": "third"},
        # On a full disk: the database that a rollback returns to is not marked as left, and an older one still is.
        "mark fails": ["."], "second": {"versions/6.1": "third", "versions/6.2": "third"},
    }  # fmt: skip
    assert found["old version"].startswith(left)
    # What was written to a new version that did not stay is kept, and told by each call; scales are made again.
    gone, kept = [None, None, {".": "first"}], "undone-upgrade-run-1"
    assert found["leaving"] == {
        "nothing": gone, "scale": gone, "earlier release": gone,
        "written": [kept, kept, {".": "first", kept: "by a read"}],
    }  # fmt: skip
    assert [bool(why) for why in found["versions"].values()] == [True, True, False, True]
