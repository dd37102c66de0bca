"""What Plone writes when it is only read does not count as written when its version is upgraded; all else does."""

from __future__ import annotations

from tests.adapters.plone_image import printed

BY_READS = [
    "nothing", "scale", "scales of many", "first scale", "first annotation", "older kind of scales", "unchanged",
    "portlet shown", "rules opened", "locked", "locked with annotations", "locked again", "locked, then scale",
    "locked and unlocked", "unlocked", "lock refreshed", "expired lock removed",
]  # fmt: skip


def test_what_reads_write_alone_is_no_write() -> None:
    found = printed("plone_reads.py")
    assert [name for name, by_reads in found.items() if by_reads] == BY_READS
    writes = {"title", "scale and title", "scale, then title", "other annotation", "packed title", "portlet hidden"}
    writes |= {"locked and titled", "locked, then titled", "locked and annotated", "in place of a lock"}
    writes |= {"rules opened, then assigned", "rule assigned", "rule taken away"}
    assert writes < set(found)
