"""An image is taken where an allowed key signed a statement about what the engine has, and refused by name else."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from library import image_signatures
from module_utils import ssh_signature
from module_utils.image_layers import described
from module_utils.image_signatures import NAMESPACE, STATEMENT, file_of, subject
from tests.unit.ansible.played import played

NAME = "eduhub/edge:bookworm"
INSPECTED = {
    "Id": f"sha256:{'1' * 64}", "Created": "2026-11-29T19:37:22.12Z",
    "RootFS": {"Layers": [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"]},
    "Config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "/usr/lib/eduhub/health"], "Retries": 3}},
}  # fmt: skip
IMAGE = described(INSPECTED)


def changed(**values: Any) -> dict[str, Any]:
    """The image with other values in what the engine says of it."""
    return described({**copy.deepcopy(INSPECTED), **values})


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a key called so, once."""

    def make(name: str) -> Path:
        path = tmp_path / name
        if not path.exists():
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
            subprocess.run(words, check=True, timeout=60)
        return path

    return make


@pytest.fixture
def checkout(tmp_path: Path, key: Callable[[str], Path]) -> Path:
    """A checkout with the signed statement about the image, and its one allowed signer in `allowed`."""
    allowed = f'ci@example.edu namespaces="{NAMESPACE}" {key("ci").with_name("ci.pub").read_text()}'
    (tmp_path / "allowed").write_text(allowed)
    sign(tmp_path, key("ci"), {"_type": STATEMENT, "subject": [subject(NAME, IMAGE)]})
    return tmp_path


def sign(checkout: Path, key: Path, statement: Any, purpose: str = NAMESPACE, folder: str = "provenance") -> Path:
    """Write a statement and its signature below `checkout`; return its path."""
    file = checkout / folder / file_of(NAME)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name(f"{file.name}.sig").unlink(missing_ok=True)
    file.write_text(json.dumps(statement))
    ssh_signature.sign([file], key, purpose)
    return file


@pytest.fixture
def play(checkout: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return a function that plays the module on an image, and returns its result."""

    def run(image: dict[str, Any] = IMAGE, **arguments: Any) -> dict[str, Any]:
        files = {"checkout": str(checkout), "allowed": str(checkout / "allowed")}
        told = {"images": {NAME: image}, **(arguments or files)}
        with patch_module_args(told), pytest.raises(SystemExit):
            image_signatures.main()
        return dict(json.loads(capsys.readouterr().out))

    return run


def test_a_signed_image_is_taken_and_its_signer_told(play):
    found = play()
    assert (found["signers"], found["unsigned"], found["refused"]) == ({NAME: "ci@example.edu"}, [], [])


def test_another_machine_judges_its_own_image_by_the_same_papers(play):
    signed = play()["signed"]
    assert play(signed=signed)["signers"] == {NAME: "ci@example.edu"}
    assert play(changed(RootFS={"Layers": [f"sha256:{'a' * 64}"]}), signed=signed)["signers"] == {}


def test_ansible_runs_it_with_what_it_needs(checkout):
    """A module travels alone: what it imports has to travel with it."""
    found = played("image_signatures", images={NAME: IMAGE}, checkout=str(checkout), allowed=str(checkout / "allowed"))
    assert (found["signers"], found["changed"]) == ({NAME: "ci@example.edu"}, False)


@pytest.mark.parametrize(
    ("values", "differs"),
    [
        ({"RootFS": {"Layers": [f"sha256:{'a' * 64}", f"sha256:{'c' * 64}"]}}, "its layers are others"),
        ({"Config": {**INSPECTED["Config"], "Healthcheck": {"Test": ["CMD", "/bin/sh"], "Retries": 3}}},
         "its health check is another one"),
        ({"Config": {**INSPECTED["Config"], "User": "root"}}, "its configuration, or the time that it was made,"),
        ({"Created": "2026-11-30T00:00:00Z"}, "its configuration, or the time that it was made,"),
    ],
)  # fmt: skip
def test_another_image_under_the_signed_name_is_refused(play, values, differs):
    found = play(changed(**values))
    (said,) = found["refused"]
    begin = f"{NAME} (sha256:{'1' * 12}) is not the image that ci@example.edu signed in provenance/edge-bookworm.json, "
    assert (said.startswith(begin + differs), found["signers"]) == (True, {})
    assert said.endswith(": get the image that was signed, or build it again and sign it.")


def test_an_engine_that_does_not_tell_health_checks_does_not_run_them(play):
    assert play(changed(Config={"User": "10001"}))["refused"] == []


def test_a_key_that_is_not_allowed_is_told_as_that(play, checkout, key):
    sign(checkout, key("stranger"), {"_type": STATEMENT, "subject": [subject(NAME, IMAGE)]})
    (said,) = play()["refused"]
    assert said.startswith("provenance/edge-bookworm.json is signed by a key that docker_host_image_signers does not ")


def test_a_signer_who_may_no_longer_sign_is_refused(play, checkout):
    allowed = checkout / "allowed"
    allowed.write_text(allowed.read_text().replace(" ", ' valid-before="20200101",', 1))
    assert "does not allow" in play()["refused"][0]


def test_a_statement_that_was_changed_is_told_as_that(play, checkout):
    file = checkout / "provenance/edge-bookworm.json"
    file.write_text(file.read_text().replace("a" * 64, "c" * 64))
    (said,) = play(changed(RootFS={"Layers": [f"sha256:{'c' * 64}", f"sha256:{'b' * 64}"]}))["refused"]
    assert said.startswith(
        "provenance/edge-bookworm.json.sig is no signature of provenance/edge-bookworm.json (Signature verification "
        "failed: incorrect signature): get both again from who built eduhub/edge:bookworm."
    )


def test_a_signature_for_another_purpose_is_none(play, checkout, key):
    sign(checkout, key("ci"), {"_type": STATEMENT, "subject": [subject(NAME, IMAGE)]}, purpose="eduhub-rollout-kit")
    assert "is no signature of provenance/edge-bookworm.json" in play()["refused"][0]


@pytest.mark.parametrize("gone", ["edge-bookworm.json", "edge-bookworm.json.sig"])
def test_an_image_without_statement_or_signature_is_unsigned(play, checkout, gone):
    (checkout / "provenance" / gone).unlink()
    found = play()
    assert (found["unsigned"], found["refused"], found["signers"]) == ([NAME], [], {})


STATEMENTS = {
    "another image's": ({"_type": STATEMENT, "subject": [subject("eduhub/pilot:py3.11", IMAGE)]},
                        "which is about eduhub/pilot:py3.11"),
    "another form's": ({"_type": "other", "subject": [subject(NAME, IMAGE)]}, f"which is about {NAME}"),
    "of two": ({"_type": STATEMENT, "subject": [subject(NAME, IMAGE)] * 2}, "which is no statement about one image"),
    "of none": ({"_type": STATEMENT, "subject": []}, "which is no statement about one image"),
    "a list": ([], "which is no statement about one image"),
    "no digest": ({"_type": STATEMENT, "subject": [{"name": NAME}]}, "which is no statement about one image"),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "differs"), STATEMENTS.values(), ids=STATEMENTS)
def test_what_is_signed_and_about_something_else_is_refused(play, checkout, key, statement, differs):
    sign(checkout, key("ci"), statement)
    assert differs in play()["refused"][0]


def test_what_a_kit_brings_counts_until_it_is_signed_here(play, checkout, key):
    other = {"_type": STATEMENT, "subject": [subject(NAME, changed(Created=""))]}
    sign(checkout, key("ci"), other, folder="kit/provenance")
    assert play()["refused"] == []
    (checkout / "provenance/edge-bookworm.json").unlink()
    assert "kit/provenance/edge-bookworm.json" in play()["refused"][0]


def test_signers_that_cannot_be_read_end_the_run(play, checkout):
    said = play(checkout=str(checkout), allowed=str(checkout / "gone"))["msg"]
    assert said.startswith(f"The allowed signers in {checkout}/gone cannot be read (No such file or directory): ")


def test_a_machine_without_ssh_keygen_takes_nothing(play, checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert play()["refused"] == [
        f"The signature of {NAME} cannot be checked. There is no ssh-keygen here: install openssh-client."
    ]


@pytest.mark.parametrize("said", ["unknown option -- Y", 'Unsupported operation for -Y: \\"find-principals\\"'])
def test_an_old_ssh_keygen_is_told_as_that(play, checkout, monkeypatch, said):
    (checkout / "bin").mkdir()
    old = checkout / "bin/ssh-keygen"
    old.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    (told,) = play()["refused"]
    begin = f"The signature of {NAME} cannot be checked. The ssh-keygen here is too old for signatures: "
    assert told.startswith(begin)


def test_a_key_that_is_on_two_lines_signs_for_the_purpose_of_each(play, checkout):
    """ssh-keygen finds the first line alone, whatever that is for."""
    allowed = checkout / "allowed"
    own = allowed.read_text()
    allowed.write_text(f"# git\n{own.replace('ci@', 'git@').replace(NAMESPACE, 'git')}\n{own}")
    assert play()["signers"] == {NAME: "ci@example.edu"}


def test_a_key_that_is_for_another_purpose_alone_is_refused_with_the_reason(play, checkout):
    allowed = checkout / "allowed"
    allowed.write_text(allowed.read_text().replace(NAMESPACE, "git"))
    assert f'(key is not permitted for use in signature namespace "{NAMESPACE}")' in play()["refused"][0]


def test_a_statement_that_cannot_be_read_is_a_sentence(play, checkout):
    (checkout / "provenance/edge-bookworm.json").write_bytes(b"\xff")
    assert play()["msg"].startswith(f"What was signed about {NAME} cannot be read ('utf-8' codec ")


def test_a_signature_that_nobody_gives_ends(checkout, key, monkeypatch):
    """A token waits for a touch, and an agent for a confirmation."""
    (checkout / "bin").mkdir()
    waits = checkout / "bin/ssh-keygen"
    waits.write_text("#!/bin/sh\nexec sleep 60\n")
    waits.chmod(0o755)
    monkeypatch.setenv("PATH", f"{waits.parent}:/usr/bin:/bin")
    monkeypatch.setattr(ssh_signature, "SECONDS", 1)
    with pytest.raises(ssh_signature.NoProgramError, match="ssh-keygen did not end within 1 s"):
        ssh_signature.sign([checkout / "allowed"], key("ci"), NAMESPACE)
