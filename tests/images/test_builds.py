"""The builder on a real engine: two builds hold the same files, a changed byte shows, any base will do."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml

from builder import HERE, PYTHONPATH, manifest
from builder.build import Builder
from builder.catalogue import Image, choose, load
from builder.engine import Engine
from builder.report import Progress

SCENARIO = Path(__file__).parents[1] / "molecule" / "images"
# A base that is not ours: its Python stands elsewhere, and one file more is in it.
FOREIGN = """
FROM eduhub/base:bookworm
USER 0
RUN ["mv", "/usr/bin/python3.11", "/usr/local/bin/python3"]
RUN ["touch", "/site"]
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """The engine; what the tests of this file have built on it goes at the end."""
    client = docker.from_env(timeout=600)
    yield client
    for image in client.images.list():
        for tag in image.tags:
            if tag.startswith("eduhub-test/built"):
                client.images.remove(tag)
    client.close()


def images(tag: str) -> tuple[Image, ...]:
    """Return the catalogue with the pilot's image under another name, so that no deployment sees it."""
    return tuple(
        dataclasses.replace(image, tag=f"eduhub-test/built:{tag}") if image.name == "pilot" else image
        for image in load()
    )


def listing(client: docker.DockerClient, image: str) -> list[str]:
    """Return the manifest of the files in `image`."""
    container = client.containers.create(image, ["true"])
    try:
        return sorted(manifest.lines(container.export()))  # type: ignore[arg-type]
    finally:
        container.remove(v=True)


@pytest.fixture(scope="module")
def first(client: docker.DockerClient) -> list[str]:
    """The files of the pilot's image, built without a cache."""
    return built_anew(client, "first")


def built_anew(client: docker.DockerClient, tag: str) -> list[str]:
    """Build the pilot's image without a cache; return its files."""
    catalogue = images(tag)
    chosen = choose(catalogue, ["pilot"], None)
    (result,) = Builder(Engine(), catalogue, Progress(), no_cache=True).run(chosen)
    files = listing(client, result.image)
    assert manifest.digest(files) == result.manifest
    return files


def test_two_builds_without_cache_hold_the_same_files(client: docker.DockerClient, first: list[str]) -> None:
    """Every name, mode, owner and byte is equal, bytecode included."""
    assert built_anew(client, "second") == first


@pytest.mark.usefixtures("first")
def test_one_changed_byte_shows_in_one_line(client: docker.DockerClient, first: list[str]) -> None:
    """The comparison above would have seen it: a space at the end of one file is a difference of one file."""
    name = "opt/eduhub/app/eduhub_pilot/__init__.py"
    content = (HERE / "pilot" / "src" / "eduhub_pilot" / "__init__.py").read_bytes() + b" "
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, data in (
            ("Dockerfile", f"FROM eduhub-test/built:first\nCOPY file /{name}\n".encode()),
            ("file", content),
        ):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    context.seek(0)
    client.api.tag(Engine().build(context, {}), "eduhub-test/built", "mutant")

    mutant = listing(client, "eduhub-test/built:mutant")

    assert [line.split()[3] for line in mutant if line not in first] == [name]
    assert manifest.digest(mutant) != manifest.digest(first)


def test_an_image_is_built_on_any_given_base(client: docker.DockerClient) -> None:
    """No root file system of ours is made; the program runs on that base's Python; the image says what it stands on."""
    base = "eduhub-test/built-on:site"
    client.images.build(fileobj=io.BytesIO(FOREIGN.encode()), tag=base, network_mode="none", rm=True)
    catalogue = images("foreign")

    (result,) = Builder(Engine(), catalogue, Progress(), base=base).run(choose(catalogue, ["pilot"], None))

    output = client.containers.run(
        result.image,
        ["-c", "import sys, eduhub_pilot, docker; print(sys.executable)"],
        entrypoint=["python3"],
        remove=True,
    )
    assert output.decode().strip() == "/usr/local/bin/python3"
    assert client.images.get(result.image).labels["org.eduhub.base"] == base


def test_a_second_run_leaves_everything_alone_and_says_so_in_json() -> None:
    """`--missing` is what each deployment runs, so it must cost next to nothing; stdout is JSON and nothing else."""
    command = [sys.executable, "-m", "builder", "--missing", "--json"]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    subprocess.run(command, env=environment, check=True, capture_output=True)

    second = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)

    assert {image["state"] for image in json.loads(second.stdout)["images"]} == {"present"}
    # Whether Debian has had a security update since is not ours to say.
    assert [line for line in second.stderr.splitlines() if not line.startswith("builder: Security updates of ")] == []


def test_molecule_finds_the_tests_it_is_to_run() -> None:
    """It calls a scenario without tests a success."""
    scenario = yaml.safe_load((SCENARIO / "molecule.yml").read_text(encoding="utf-8"))
    assert len(list((SCENARIO / scenario["verifier"]["directory"]).glob("test_*.py"))) == 3


def test_the_image_that_had_a_name_before_keeps_another(client: docker.DockerClient, tmp_path: Path) -> None:
    """One is kept, and the one before it is removed."""
    engine, tag, made = Engine(), "eduhub-test/built:edge", []
    for number in ("one", "two", "three"):
        (tmp_path / "file").write_text(number)
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            archive.add(tmp_path / "file", "file")
        root = engine.import_root(tmp_path / "root.tar")
        made.append(engine.label(root, tag, {"number": number}, f"{tag}-before")["Id"])
    assert [client.images.get(name).id for name in (tag, f"{tag}-before")] == [made[2], made[1]]
    assert engine.inspect(made[0]) is None
