"""A statement tells how an image was made, in the form that others read, and only what was built or named is signed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builder import HERE, Refusal, manifest, provenance, sbom
from builder import __main__ as program
from builder.build import INPUTS, Builder
from builder.catalogue import load
from builder.contents import RELEASE, STATUS
from builder.report import Progress, Result
from module_utils import ssh_signature
from module_utils.image_layers import described
from module_utils.image_signatures import NAMESPACE, difference
from tests.unit.builder.kit.made import allowed, new_key
from tests.unit.builder.roots import archive

IMAGES = load()
PILOT = next(image for image in IMAGES if image.name == "pilot")
BASE = next(image for image in IMAGES if image.tag == PILOT.base)
OWN = "hub/own:1"
ROOT = {
    STATUS: "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n",
    RELEASE: "ID=debian\nVERSION_ID=12\n",
    "opt/orjson-1.dist-info/METADATA": "Name: orjson\nVersion: 1\n\n",
}


class Engine:
    """Stands for builder.engine.Engine, with the pilot, its base, and an image that is not ours."""

    inputs = ""
    files = manifest.digest(manifest.lines([archive(ROOT)]))

    def inspect(self, tag: str) -> dict[str, Any] | None:
        labels = {
            "org.opencontainers.image.revision": f"{'c' * 40}-changed", "org.opencontainers.image.version": "0.1.0",
            "org.eduhub.manifest": self.files, "org.eduhub.python": "3.11.2", INPUTS: self.inputs,
        }  # fmt: skip
        facts = {
            "Id": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}", "Created": "2026-11-29T18:30:15.123456789Z",
            "RootFS": {"Layers": [f"sha256:{'a' * 64}"]}, "Config": {"User": "10001", "Labels": labels},
        }  # fmt: skip
        return facts if tag in {PILOT.tag, BASE.tag, OWN} else None

    def labels(self, tag: str) -> dict[str, str] | None:
        facts = self.inspect(tag)
        return facts["Config"]["Labels"] if facts else None

    @contextmanager
    def exported(self, _image: str) -> Iterator[Any]:
        yield [archive(ROOT)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in (provenance, program):
        monkeypatch.setattr(module, "Engine", Engine)
    monkeypatch.setattr(provenance, "DIRECTORY", tmp_path / "provenance")
    monkeypatch.setattr(Engine, "inputs", Builder(Engine(), IMAGES, Progress()).inputs(PILOT))


def signer(file: Path, tmp_path: Path) -> str:
    """Who signed the statement in `file`, by Debian's own program."""
    return ssh_signature.signer(file, file.with_name(f"{file.name}.sig"), tmp_path / "allowed", NAMESPACE)


@pytest.fixture
def key(tmp_path) -> Path:
    key = new_key(tmp_path / "key")
    allowed(tmp_path / "allowed", key)
    return key


def test_a_statement_names_image_commit_lock_packages_and_sbom(tmp_path, key, capsys):
    assert provenance.main(["--sign-key", str(key), "pilot", OWN]) == 0
    file = tmp_path / "provenance/pilot-py3.11.json"
    told, facts = json.loads(file.read_text()), Engine().inspect(PILOT.tag)
    assert signer(file, tmp_path) == "operator@example.edu"
    assert (told["_type"], told["predicateType"]) == (
        "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1",
    )  # fmt: skip
    assert difference(PILOT.tag, described(facts), file.read_text()) == ""
    made, ran = told["predicate"]["buildDefinition"], told["predicate"]["runDetails"]
    lock = hashlib.sha256((HERE / PILOT.lock).read_bytes()).hexdigest()
    assert made["resolvedDependencies"] == [
        {"name": "source", "digest": {"gitCommit": "c" * 40}, "annotations": {"changed": True, "witnessed": False}},
        {"name": "images/pilot/requirements.txt", "digest": {"sha256": lock}},
        {"uri": "pkg:deb/debian/zlib1g@1.0?arch=amd64&distro=debian-12"},
        {"uri": "pkg:pypi/orjson@1"},
    ]
    assert made["externalParameters"] == {"image": "pilot", "version": PILOT.version, "python": "3.11"}
    text = sbom.text(Builder(Engine(), IMAGES, Progress()), PILOT, facts)
    assert ran["byproducts"][0]["digest"] == {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert ran["metadata"] == {"finishedOn": "2026-11-29T18:30:15Z"}
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["IMAGE", PILOT.tag, OWN]


def test_an_image_of_somebody_else_is_vouched_for_and_nothing_is_told_of_its_making(tmp_path, key):
    provenance.main(["--sign-key", str(key), OWN])
    told = json.loads((tmp_path / "provenance/hub-own-1.json").read_text())
    assert (told["predicateType"], told["predicate"]) == (provenance.VOUCHED, {})
    assert signer(tmp_path / "provenance/hub-own-1.json", tmp_path) == "operator@example.edu"


def test_a_lock_that_may_have_been_another_is_not_named():
    facts = Engine().inspect(PILOT.tag)
    facts["Config"]["Labels"][INPUTS] = "others"
    told = provenance.materials(Builder(Engine(), IMAGES, Progress()), PILOT, facts["Config"]["Labels"], witnessed=True)
    assert [each["name"] for each in told] == ["source"]


def test_what_the_engine_lacks_is_refused_where_it_is_named(key):
    with pytest.raises(Refusal, match=r"The engine has no image hub/gone:1 and no edge: build it, or load it"):
        provenance.main(["--sign-key", str(key), OWN, "hub/gone:1", "edge"])
    assert provenance.main(["--sign-key", str(key), "--tags", OWN, "hub/gone:1"]) == 0
    with pytest.raises(Refusal, match=r"The engine has no image hub/gone:1"):
        provenance.main(["--sign-key", str(key), "--tags", "hub/gone:1"])


def test_a_key_that_cannot_sign_leaves_what_was_signed_before(tmp_path, key):
    provenance.main(["--sign-key", str(key), OWN])
    before = (tmp_path / "provenance/hub-own-1.json.sig").read_text()
    with pytest.raises(Refusal, match=r"ssh-keygen cannot sign with gone \("):
        provenance.main(["--sign-key", "gone", OWN])
    assert (tmp_path / "provenance/hub-own-1.json.sig").read_text() == before
    assert {path.name for path in (tmp_path / "provenance").iterdir()} == {"hub-own-1.json", "hub-own-1.json.sig"}


def test_a_key_that_an_agent_holds_signs(tmp_path, key, monkeypatch):
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        added = ["ssh-add", "-q", str(key)]
        for _ in range(50):
            if subprocess.run(added, check=False, capture_output=True, timeout=10).returncode == 0:
                break
        key.unlink()
        provenance.main(["--sign-key", f"{key}.pub", OWN])
    finally:
        agent.terminate()
        agent.wait()
    assert signer(tmp_path / "provenance/hub-own-1.json", tmp_path) == "operator@example.edu"


@pytest.mark.parametrize(("state", "is_signed"), [("built", True), ("present", False), ("loaded", False)])
def test_a_build_signs_what_it_built_and_never_what_it_found(tmp_path, key, monkeypatch, state, is_signed):
    """An image that was changed since, under the same labels, would be signed as if we had built it."""

    def ran(_self, _chosen):
        yield from (Result(image.tag, None, 1, "sha256:1", 1.0, state, "i", "m") for image in (BASE, PILOT))

    monkeypatch.setattr(Builder, "run", ran)
    monkeypatch.setattr("builder.kit.unpacked.Kit.at", lambda _: None)
    assert program.main(["--sign-key", str(key), "--missing", "--json", "pilot"]) == 0
    there = {path.name for path in tmp_path.glob("provenance/*.json")}
    assert there == ({"pilot-py3.11.json"} if is_signed else set())


def test_an_image_that_was_changed_under_its_labels_is_not_signed_as_ours(tmp_path, key, monkeypatch):
    monkeypatch.setattr(Engine, "files", "m" * 64)
    with pytest.raises(Refusal, match=r"eduhub/pilot:py3.11 was changed after it was built: its files are not those "):
        provenance.main(["--sign-key", str(key), "pilot"])
    assert list(tmp_path.glob("provenance/*")) == []


@pytest.mark.parametrize("present", [True, False])
def test_a_key_is_asked_for_only_where_something_is_built(monkeypatch, present):
    """A machine that deploys what others built and signed has none."""
    asked = []
    monkeypatch.setattr(Builder, "is_present", lambda _self, _image: present)
    monkeypatch.setattr(Builder, "run", lambda _self, _chosen: asked.append("run") or ())
    monkeypatch.setattr("builder.kit.unpacked.Kit.at", lambda _: None)
    words = ["--sign-key", "gone", "--missing", "--json", "pilot"]
    if present:
        assert program.main(words) == 0
    else:
        with pytest.raises(Refusal, match="ssh-keygen cannot sign with gone"):
            program.main(words)
    assert asked == ["run"] * present
