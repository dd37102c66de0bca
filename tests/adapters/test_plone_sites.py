"""All sites of a database are found: those in folders of Zope too, which a migration would leave as they are."""

from __future__ import annotations

from tests.adapters.plone_image import printed


def test_sites_are_found_in_folders_of_zope_too() -> None:
    found = printed("plone_sites.py")
    paths = ["Plone", "departments/more/large/deep", "departments/physics"]
    assert found["zope"] == sorted(found["sites"]) == paths
    assert found["items"] == dict(zip(paths, [3, 1, 2], strict=True))
    assert found["sites"]["departments/physics"] == "uuid of physics"
    assert found["proven"] == [True, True, False]
