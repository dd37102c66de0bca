"""An editor who only looks at a site, with real Plone: what that writes is what an upgrade of its version lets in."""

from __future__ import annotations

from tests.adapters.plone_image import printed

# Locks, scales, and empty settings of portlets and content rules.
BY_READS = {
    "", "/news-item/edit", "/page/edit", "/image/edit", "/image/view", "/news-item with an old lock",
    "/page with an old lock, as JSON", "/page/edit, locked anew",
    "/page/@@manage-content-rules",
}  # fmt: skip


def test_what_an_editor_only_looks_at_writes_no_content() -> None:
    found = printed("plone_editor.py")
    assert {path: status for path, (status, _) in found.items() if status != 200} == {}
    assert {path for path, (_, wrote) in found.items() if wrote == "content"} == set()
    assert {path for path, (_, wrote) in found.items() if wrote == "by reads"} == BY_READS
