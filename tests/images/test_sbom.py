"""The SBOM of a real image, held against what others read in that image."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from builder import PYTHONPATH, manifest
from builder.contents import STATUS

PILOT = "eduhub/pilot:py3.11"
# Asked of the Python in the image itself.
INSTALLED = "import importlib.metadata as m; print(*(d.name + '==' + d.version for d in m.distributions()))"


def written(into: Path) -> bytes:
    """Return the SBOM of the pilot's image, as the command writes it below `into`."""
    command = [sys.executable, "-m", "builder.sbom", "pilot", "--to", str(into)]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    (file,) = into.iterdir()
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() in done.stdout
    return content


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The SBOM of the pilot's image."""
    return written(tmp_path_factory.mktemp("sbom"))


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    """The engine."""
    return docker.from_env(timeout=600)


def named(sbom: bytes, kind: str) -> set[tuple[str, str]]:
    """Return name and version of the components whose package URL is of this kind."""
    parts: list[dict[str, Any]] = json.loads(sbom)["components"]
    return {(part["name"], part["version"]) for part in parts if part.get("purl", "").startswith(f"pkg:{kind}/")}


def test_it_is_valid_and_the_same_each_time(sbom: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a second time without a cache."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.decode()) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert written(tmp_path / "again") == sbom


def test_its_packages_are_those_that_dpkg_finds(sbom: bytes, client: docker.DockerClient, tmp_path: Path) -> None:
    """dpkg reads the image's status itself."""
    container = client.containers.create(PILOT, ["true"], network_mode="none")
    try:
        chunks, _ = container.get_archive(f"/{STATUS}")
        with manifest.opened(chunks) as archive:
            archive.extractall(tmp_path, filter="data")
    finally:
        container.remove(v=True)
    command = [
        "dpkg-query",
        f"--admindir={tmp_path}",
        "--show",
        "--showformat",
        "${db:Status-Status} ${Package} ${Version}\\n",
    ]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [line.split() for line in lines]
    assert named(sbom, "deb") == {(name, version) for state, name, version in found if state != "config-files"}


def test_its_distributions_are_those_that_python_finds(sbom: bytes, client: docker.DockerClient) -> None:
    """And each has the hashes of the files that the lock admits."""
    output = client.containers.run(PILOT, ["-c", INSTALLED], entrypoint=["python3"], network_mode="none", remove=True)
    asked = {
        (canonicalize_name(name), version)
        for name, _, version in (pin.partition("==") for pin in output.decode().split())
    }
    assert {(canonicalize_name(name), version) for name, version in named(sbom, "pypi")} == asked
    parts = [part for part in json.loads(sbom)["components"] if part.get("purl", "").startswith("pkg:pypi/")]
    assert all(part["externalReferences"][0]["hashes"] for part in parts)
