"""What built images lack: table, JSON, exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builder import Refusal, audit, security
from builder.catalogue import load
from builder.contents import STATUS
from builder.security import Look
from tests.unit.builder.roots import archive

ROOT = {
    STATUS: "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n",
    "opt/orjson-1.dist-info/METADATA": "Name: orjson\nVersion: 1\n\n",
}
BUILT = datetime.now(UTC) - timedelta(days=40, hours=1)


class Engine:
    """Stands for builder.engine.Engine, with the images in `tags`."""

    tags: tuple[str, ...] = ()

    def inspect(self, tag: str) -> dict[str, Any] | None:
        if tag not in self.tags:
            return None
        labels = {"org.eduhub.python": "3.11.2"} if "py3.11" in tag else {}
        created = BUILT.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        return {"Id": f"sha256:{tag.replace('/', '-')}", "Created": created, "Config": {"Labels": labels}}

    def labels(self, tag: str) -> dict[str, str] | None:
        facts = self.inspect(tag)
        return facts and dict(facts["Config"]["Labels"])

    @contextmanager
    def exported(self, _image: str) -> Iterator[Iterable[bytes]]:
        yield [archive(ROOT)]


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Audit an engine with `tags`, and a security archive that has `newest` of zlib1g."""
    monkeypatch.setattr(audit, "Engine", Engine)

    def run(*words: str, tags: tuple[str, ...], newest: str = "1.0", trouble: str = "") -> int:
        monkeypatch.setattr(Engine, "tags", tags)
        monkeypatch.setattr(
            security,
            "look",
            lambda suite, *, asked: Look(suite, 1.0, 1.0, trouble, {"zlib1g": newest}) if asked else None,
        )
        return audit.main(words)

    return run


def test_images_without_findings_end_with_0(audited: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """A line an image that is built; what was not compared is said."""
    assert audited(tags=("eduhub/edge:bookworm",)) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["IMAGE", "BUILT", "DAYS", "DEBIAN", "PYTHON"]
    assert out[1].split() == ["eduhub/edge:bookworm", f"{BUILT:%Y-%m-%d}", "40", "0", "-"]
    assert out[-1] == "Python packages were not compared: name a file with --advisories."


def test_a_security_update_is_a_finding(audited: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Package, old and new; exit code 1, for a timer that mails."""
    assert audited("--json", "edge", tags=("eduhub/edge:bookworm",), newest="1.0+deb12u1") == 1
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["debian"] == [{"package": "zlib1g", "old": "1.0", "new": "1.0+deb12u1"}]


def test_a_known_hole_in_an_installed_package_is_a_finding(
    audited: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The version is the one in the image, whatever its lock says by now."""
    part = {
        "package": {"ecosystem": "PyPI", "name": "orjson"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    record = {"id": "PYSEC-1", "modified": "2026-11-20T00:00:00Z", "affected": [part]}
    (tmp_path / "osv.json").write_text(json.dumps(record))
    code = audited("bridge:py3.11", "--advisories", str(tmp_path / "osv.json"), tags=("eduhub/bridge:py3.11",))
    out = capsys.readouterr().out
    assert (code, "orjson 1: PYSEC-1, no fix known" in out, "Python's advisories are of 2026-11-20." in out) == (
        1,
        True,
        True,
    )


def test_an_image_of_a_debian_past_its_end_is_a_finding(
    audited: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets no updates, so that it lacks none proves nothing."""
    (ended,) = [image for image in load() if image.tag == "eduhub/base:bullseye"]
    assert audited(tags=(ended.tag,)) == 1
    assert f"Debian bullseye has had no security fixes since {ended.end_of_life}" in capsys.readouterr().out


def test_a_mirror_that_cannot_be_read_is_no_clean_answer(
    audited: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The table stands, with what is known."""
    with pytest.raises(Refusal, match=r"^Security updates of bookworm could not be looked up \(it is down\)"):
        audited(tags=("eduhub/edge:bookworm",), trouble="it is down")
    assert "eduhub/edge:bookworm" in capsys.readouterr().out


def test_an_image_that_is_named_and_not_built_is_refused(audited: Callable[..., int]) -> None:
    """Without names, what is built is what is meant."""
    with pytest.raises(Refusal, match=r"edge:bookworm is not built here; ./invoke images.build --names edge:bookworm"):
        audited("edge", tags=("eduhub/base:bookworm",))


def test_an_image_of_other_sources_says_so(audited: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Another pin, or another program, is in the checkout by now."""
    audited(tags=("eduhub/edge:bookworm",))
    assert "built from other sources: ./invoke images.build --missing" in capsys.readouterr().out


def test_the_document_names_all_that_was_compared(
    audited: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the package URLs that stand in the SBOM."""
    audited("--json", "edge", tags=("eduhub/edge:bookworm",))
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["packages"] == ["pkg:deb/debian/zlib1g@1.0?arch=amd64", "pkg:pypi/orjson@1"]
