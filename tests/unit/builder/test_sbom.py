"""The CycloneDX document of an image, and the command that writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from builder import Refusal, sbom
from builder.contents import RELEASE, STATUS, Contents, Distribution, Package
from tests.unit.builder.roots import archive

FACTS = {
    "Id": f"sha256:{'a' * 64}",
    "Created": "2026-11-29T18:30:15.123456789Z",
    "Config": {"Labels": {"org.eduhub.python": "3.11.2"}},
}
FOUND = Contents(
    "debian",
    "12",
    (Package("libssl3", "3.0.17-1", "amd64", "openssl", "3.0.17-1", ("Apache-2.0", "Artistic or GPL-1+", "ISC")),),
    (
        Distribution("orjson", "3.11.5", ("Apache-2.0 OR MIT",)),
        Distribution("uvicorn", "0.39.0", ("BSD License", "MIT License")),
    ),
)
DIGESTS = ["b" * 64, "c" * 64]
HASHES = {("orjson", "3.11.5"): DIGESTS, ("uvicorn", "0.1"): ["d" * 64]}
ROOT = {
    STATUS: "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n",
    RELEASE: "ID=debian\nVERSION_ID=12\n",
    "opt/orjson-1.dist-info/METADATA": "Name: orjson\nVersion: 1\n\n",
}


class Engine:
    """Stands for builder.engine.Engine, with the images in `tags`, which all hold ROOT."""

    tags: tuple[str, ...] = ("eduhub/edge:bookworm", "eduhub/pilot:py3.11")

    def inspect(self, tag: str) -> dict[str, Any] | None:
        return FACTS | {"Id": f"sha256:{tag.replace('/', '-')}"} if tag in self.tags else None

    @contextmanager
    def exported(self, _image: str) -> Iterator[Iterable[bytes]]:
        yield [archive(ROOT)]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Path]]:
    """Write the documents that the words ask for; return the files, sorted."""
    monkeypatch.setattr(sbom, "Engine", Engine)

    def run(*words: str, tags: tuple[str, ...] = Engine.tags) -> list[Path]:
        monkeypatch.setattr(Engine, "tags", tags)
        assert sbom.main([*words, "--to", str(tmp_path / "new" / "sbom")]) == 0
        return sorted(tmp_path.joinpath("new", "sbom").iterdir())

    return run


@pytest.fixture
def document() -> dict[str, Any]:
    """The document of an image with a Debian package and two Python distributions."""
    return dict(json.loads(sbom.document("eduhub/bridge:py3.11", FACTS, FOUND, HASHES)))


def test_a_document_is_valid_by_the_schema_of_cyclonedx(document: dict[str, Any]) -> None:
    """By the strict one, which allows no field that it does not know; a document of nothing is valid too."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    assert validator.validate_str(sbom.document("eduhub/edge:bookworm", FACTS, Contents(), {})) is None
    assert validator.validate_str(json.dumps(document | {"serialNumber": "1"})) is not None


def test_the_same_image_gives_the_same_bytes_and_another_one_another_serial_number(document: dict[str, Any]) -> None:
    """Who signs a document must be able to make it again; its time is that of the image."""
    first, again = (sbom.document("eduhub/bridge:py3.11", FACTS, FOUND, HASHES) for _ in range(2))
    other = sbom.document("eduhub/bridge:py3.11", FACTS | {"Id": "sha256:b"}, FOUND, HASHES)
    assert first == again
    assert json.loads(other)["serialNumber"] != document["serialNumber"]
    assert document["metadata"]["timestamp"] == "2026-11-29T18:30:15+00:00"


def test_a_document_names_the_image_by_tag_and_id(document: dict[str, Any]) -> None:
    """With its labels, and the Debian that it is."""
    image = document["metadata"]["component"]
    assert (image["name"], image["version"], image["bom-ref"]) == ("eduhub/bridge", "py3.11", FACTS["Id"])
    assert image["properties"] == [{"name": "org.eduhub.python", "value": "3.11.2"}]
    systems = [part for part in document["components"] if part["type"] == "operating-system"]
    assert [(system["name"], system["version"]) for system in systems] == [("debian", "12")]


def test_a_package_of_debian_has_version_source_architecture_and_licences(document: dict[str, Any]) -> None:
    """A licence has SPDX's id where it is one, and its own name where it is not."""
    (package,) = [part for part in document["components"] if part["name"] == "libssl3"]
    assert (package["version"], package["purl"]) == ("3.0.17-1", FOUND.purls[0])
    assert {row["name"].rpartition(".")[2]: row["value"] for row in package["properties"]} == {
        "architecture": "amd64",
        "source": "openssl 3.0.17-1",
    }
    assert [row["license"] for row in package["licenses"]] == [
        {"id": "Apache-2.0"}, {"id": "ISC"}, {"name": "Artistic or GPL-1+"},
    ]  # fmt: skip


def test_a_distribution_has_the_hashes_of_its_lock_and_its_licence(document: dict[str, Any]) -> None:
    """Hashes only where the lock pins this very version."""
    orjson, uvicorn = (part for part in document["components"] if part.get("purl", "").startswith("pkg:pypi/"))
    (file,) = orjson["externalReferences"]
    assert [(row["alg"], row["content"]) for row in file["hashes"]] == [("SHA-256", digest) for digest in DIGESTS]
    assert orjson["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    assert "externalReferences" not in uvicorn
    assert [row["license"]["name"] for row in uvicorn["licenses"]] == ["BSD License", "MIT License"]


def test_a_document_holds_what_the_audit_compares(document: dict[str, Any]) -> None:
    """Both have the package URLs from one place."""
    assert [part["purl"] for part in document["components"] if "purl" in part] == list(FOUND.purls)


def test_the_lock_is_read_for_the_python_of_the_image(tmp_path: Path) -> None:
    """A pin may stand twice."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        "zope.interface==6.3 ; python_full_version < '3.11' \\\n    --hash=sha256:aa \\\n    --hash=sha256:ab\n"
        "zope.interface==7.0 ; python_full_version >= '3.11' \\\n    --hash=sha256:bb\n"
    )
    assert [sbom.locked(lock, python) for python in ("3.9.2", "3.13.5")] == [
        {("zope-interface", "6.3"): ["aa", "ab"]},
        {("zope-interface", "7.0"): ["bb"]},
    ]
    assert sbom.locked(tmp_path / "none", "3.9.2") == {}


def test_a_file_an_image_in_a_directory_that_is_made(
    written: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is left beside them; the table has counts, digest and place of each."""
    files = written()
    assert [file.name for file in files] == ["edge-bookworm.cdx.json", "pilot-py3.11.cdx.json"]
    parts = json.loads(files[1].read_text())["components"]
    assert {part["name"] for part in parts} == {"zlib1g", "orjson", "debian"}
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["IMAGE", "DEBIAN", "PYTHON", "SHA256", "FILE"]
    assert [row.split()[:3] + row.split()[4:] for row in rows] == [
        [tag, "1", "1", str(file)] for tag, file in zip(Engine.tags, files, strict=True)
    ]


def test_an_image_is_read_once(written: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes seconds; the same image has the same bytes."""
    before = [file.read_bytes() for file in written()]
    monkeypatch.setattr(Engine, "exported", lambda _engine, _image: pytest.fail("read again"))
    assert [file.read_bytes() for file in written()] == before


def test_an_image_that_is_named_and_not_built_is_refused(written: Callable[..., list[Path]], tmp_path: Path) -> None:
    """Nothing is written then; without names, what is built is what is meant."""
    with pytest.raises(
        Refusal, match=r"^edge:bookworm is not built here; ./invoke images.build --names edge:bookworm\.$"
    ):
        written("edge", tags=("eduhub/pilot:py3.11",))
    assert list(tmp_path.glob("new")) == []
    assert len(written(tags=("eduhub/pilot:py3.11",))) == 1


def test_a_place_that_cannot_be_written_is_refused_by_name(written: Callable[..., list[Path]], tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "new").write_text("")
    with pytest.raises(
        Refusal, match=rf"^{tmp_path}/new/sbom/edge-bookworm\.cdx\.json cannot be written \(Not a directory"
    ):
        written("edge")


def test_a_document_of_before_is_replaced_whole(written: Callable[..., list[Path]]) -> None:
    """Nothing of the old one is left, and no draft stays beside it."""
    (file,) = written("edge")
    whole = file.read_bytes()
    file.write_text("cut")
    assert [found.read_bytes() for found in written("edge")] == [whole]


def test_no_image_at_all_is_refused(written: Callable[..., list[Path]]) -> None:
    """An empty directory would pass for an answer."""
    with pytest.raises(Refusal, match="is not built here"):
        written(tags=())
