"""Known holes of Python packages, by the rules of OSV's format."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from builder import Refusal, advisories
from builder.advisories import Advisory


def record(name: str = "aiohttp", *, events: Any = (), **more: Any) -> dict[str, Any]:
    """Return a record about `name`; affected are the versions between `events`."""
    part = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}
    return {"id": "GHSA-1", "modified": "2026-11-20T10:00:00Z", "aliases": ["CVE-2026-1"], "affected": [part], **more}


FIXED = ({"introduced": "0"}, {"fixed": "3.14.3"})


def written(tmp_path: Path, *records: Any) -> Path:
    """Write `records` as one JSON file."""
    path = tmp_path / "advisories.json"
    path.write_text(json.dumps(list(records)))
    return path


@pytest.mark.parametrize(
    ("events", "version", "is_affected"),
    [
        (FIXED, "3.14.2", True),
        (FIXED, "3.14.3", False),
        (FIXED, "3.9", True),  # by number, not by letter
        (({"introduced": "3.10"}, {"fixed": "3.14.3"}), "3.9", False),
        (({"introduced": "0"}, {"last_affected": "3.13.5"}), "3.13.5", True),
        (({"introduced": "0"}, {"last_affected": "3.13.5"}), "3.13.6", False),
        (({"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}), "2.5", False),
        (({"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}), "3.5", True),
        (({"introduced": "0"},), "9", True),
        ((), "9", False),
    ],
)
def test_a_version_within_a_range_is_affected(tmp_path: Path, events: Any, version: str, is_affected: bool) -> None:
    """The events of a range, in the order of their versions."""
    database = advisories.load(written(tmp_path, record(events=events)))
    assert bool(database.of("aiohttp", version)) is is_affected


@pytest.mark.parametrize(("named", "version", "count"), [
    ("1.0", "1.0.0", 1), ("1.0.0", "1.0", 1), ("1.0", "1.0.1", 0), ("1.0", "2004b", 0), ("2004b-x", "2004b-x", 1),
])  # fmt: skip
def test_a_version_that_is_named_is_compared_as_a_version(
    tmp_path: Path, named: str, version: str, count: int
) -> None:
    """An image on another base may have distributions whose version is none, too: only the list tells of those."""
    one = record(events=FIXED if "b" in version else ())
    one["affected"][0]["versions"] = [named]
    assert len(advisories.load(written(tmp_path, one)).of("aiohttp", version)) == count


def test_a_hole_in_several_records_has_the_fixes_of_all(tmp_path: Path) -> None:
    """One database knows the hole by its list of versions, another one what fixes it."""
    one, other = record(), record(events=FIXED)
    one["affected"][0]["versions"] = ["3.13.5"]
    for records in ((one, other), (other, one)):
        (hole,) = advisories.load(written(tmp_path, *records)).of("aiohttp", "3.13.5")
        assert hole.fixed == ("3.14.3",)


def test_a_range_of_semantic_versions_counts(tmp_path: Path) -> None:
    """Some records say SEMVER of what PyPI has."""
    one = record(events=FIXED)
    one["affected"][0]["ranges"][0]["type"] = "SEMVER"
    assert advisories.load(written(tmp_path, one)).of("aiohttp", "3.13.5")[0].fixed == ("3.14.3",)


def test_a_version_that_is_named_is_affected(tmp_path: Path) -> None:
    """Many records name each version."""
    one = record()
    one["affected"][0]["versions"] = ["3.13.5"]
    database = advisories.load(written(tmp_path, one))
    assert [len(database.of("aiohttp", version)) for version in ("3.13.5", "3.13.6")] == [1, 0]


def test_a_hole_is_told_by_its_cve_with_the_version_that_fixes_it(tmp_path: Path) -> None:
    """It is what people search for, and what they can do."""
    (hole,) = advisories.load(written(tmp_path, record(events=FIXED))).of("aiohttp", "3.13.5")
    assert hole == Advisory("aiohttp", "3.13.5", "GHSA-1", ("CVE-2026-1",), ("3.14.3",))
    assert str(hole) == "aiohttp 3.13.5: CVE-2026-1, fixed in 3.14.3"


def test_two_records_of_one_hole_are_one(tmp_path: Path) -> None:
    """GitHub and PyPI each publish their own."""
    other = {**record(events=FIXED), "id": "PYSEC-2026-7"}
    assert len(advisories.load(written(tmp_path, record(events=FIXED), other)).of("aiohttp", "3.13.5")) == 1


def test_names_are_compared_as_pypi_does_and_other_ecosystems_are_not_meant(tmp_path: Path) -> None:
    """Typing_Extensions is typing-extensions; a package of npm may have the name of one of PyPI."""
    foreign = record("left", events=FIXED)
    foreign["affected"][0]["package"]["ecosystem"] = "npm"
    database = advisories.load(written(tmp_path, record("Typing_Extensions", events=FIXED), foreign))
    assert (len(database.of("typing.extensions", "1")), len(database.of("left", "1"))) == (1, 0)


def test_a_withdrawn_record_counts_for_the_date_alone(tmp_path: Path) -> None:
    """It was a mistake."""
    database = advisories.load(written(tmp_path, record(events=FIXED, withdrawn="2026-11-21T00:00:00Z")))
    assert (database.of("aiohttp", "3.13.5"), database.date) == ((), "2026-11-20")


def test_the_database_of_osv_is_a_zip_of_records(tmp_path: Path) -> None:
    """As it is downloaded."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("GHSA-1.json", json.dumps(record(events=FIXED)))
    assert advisories.load(tmp_path / "all.zip").of("aiohttp", "3.13.5")


@pytest.mark.parametrize("content", ["", "[]", "[1]", '{"vulnerabilities": []}', "no JSON", '[{"id": "x"}]'])
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    """An empty or foreign file must not pass for one without holes."""
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(Refusal, match=r"name the all\.zip that osv\.dev publishes for PyPI"):
        advisories.load(path)


def test_a_file_that_is_not_there_is_refused_too(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(Refusal, match=r"none\.zip cannot be read: No such file"):
        advisories.load(tmp_path / "none.zip")


def test_a_cut_download_is_refused(tmp_path: Path) -> None:
    """A zip without its end."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("GHSA-1.json", json.dumps(record(events=FIXED)) * 9)
    whole = (tmp_path / "all.zip").read_bytes()
    (tmp_path / "all.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refusal, match="no advisories in OSV's format"):
        advisories.load(tmp_path / "all.zip")
