"""Each link in the documentation leads somewhere, and each page can be reached from docs/index.md."""

from __future__ import annotations

import re
from pathlib import Path

from builder.catalogue import load, pythons

LADDER = pythons(load(), "bridge")
CHECKOUT = Path(__file__).resolve().parents[2]
INDEX = CHECKOUT / "docs/index.md"
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def targets(page: Path) -> list[str]:
    """Return the relative links of a page, as written."""
    links = LINK.findall(FENCE.sub("", page.read_text()))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(pages: list[Path]) -> list[str]:
    """Return a line for each relative link whose file or heading does not exist."""
    found = []
    for page in pages:
        for link in targets(page):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                found.append(f"{page.name}: {link}")
    return found


def reachable(index: Path) -> set[Path]:
    """Return every page that links lead to from `index`, itself included."""
    seen, todo = set(), [index]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        linked = ((page.parent / link.partition("#")[0]).resolve() for link in targets(page))
        todo += [target for target in linked if target.suffix == ".md" and target.exists()]
    return seen


def pythons_named(text: str) -> set[str]:
    """Return the Pythons that a page names as ours: in prose, in an option, in an image's tag or a release's id."""
    return set(re.findall(r"(?:Python |--python |[:-]py)(\d+\.\d+)\b", text))


def test_no_page_names_a_python_that_the_bridge_is_not_built_for():
    now = [page for page in PAGES if page.parent.name != "decisions"]  # those say what was weighed at their time
    wrong = {page.name: pythons_named(page.read_text()) - set(LADDER) for page in now}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_first_page_says_which_pythons_there_are():
    *older, newest = LADDER
    first = " ".join((CHECKOUT / "README.md").read_text().split())
    assert f"built for Python {', '.join(older)} and {newest}." in first


def test_each_way_to_name_a_python_is_found():
    text = "Python 3.10.2, `--python 3.8`, x:py3.7 20260101T000000Z-py3.6-0 3.5"
    assert pythons_named(text) == {"3.10", "3.8", "3.7", "3.6"}


def test_no_link_is_broken():
    assert broken(PAGES) == []


def test_each_page_can_be_reached_from_the_index():
    assert set((CHECKOUT / "docs").rglob("*.md")) - reachable(INDEX) == set()


def test_each_picture_is_shown_on_a_page():
    shown = {(page.parent / link).resolve() for page in PAGES for link in targets(page)}
    assert set((CHECKOUT / "docs").rglob("*.svg")) - shown == set()


def test_a_missing_file_and_a_missing_heading_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](gone.md) [b](#one-two) [c](#three) [d](https://example.org/x)\n```\n[e](code.md)\n```\n"
    )
    assert broken([page]) == ["page.md: gone.md", "page.md: #three"]


def test_a_page_without_a_link_to_it_is_not_reachable(tmp_path):
    (tmp_path / "index.md").write_text("[a](a.md)")
    (tmp_path / "a.md").write_text("[index](index.md)")
    (tmp_path / "b.md").write_text("[index](index.md)")
    assert {page.name for page in reachable(tmp_path / "index.md")} == {"index.md", "a.md"}
