"""Scales of images that readers let Plone make do not count as writes when its version is upgraded; all else does."""

from __future__ import annotations

from tests.adapters.plone_image import printed

SCALES = ["nothing", "scale", "scales of many", "first scale", "first annotation", "older kind of scales", "unchanged",
          "portlet shown"]  # fmt: skip


def test_scales_alone_are_no_write() -> None:
    found = printed("plone_scales.py")
    assert [name for name, scales in found.items() if scales] == SCALES
    writes = {"title", "scale and title", "scale, then title", "other annotation", "packed title", "portlet hidden"}
    assert writes < set(found)
