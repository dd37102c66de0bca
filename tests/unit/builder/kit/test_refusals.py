"""A kit that is cut, changed, of another machine, incomplete or not signed as asked is refused, in one sentence."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from builder import Refusal
from builder.kit import packages, verify
from builder.kit.unpacked import MANIFEST, SIGNATURE, Kit, ended
from tests.unit.builder.kit import made


@pytest.fixture
def signers(tmp_path: Path) -> tuple[Path, Path]:
    """A key, and the file that allows it."""
    key = made.new_key(tmp_path / "key")
    return key, made.allowed(tmp_path / "allowed", key)


def refused(*words: str | Path) -> str:
    """Return the sentence with which kit.verify refuses."""
    with pytest.raises(Refusal) as refusal:
        verify.main([*map(str, words)])
    return str(refusal.value)


def test_a_whole_kit_passes_as_a_file_and_unpacked_and_its_signer_is_named(tmp_path, signers):
    kit, _ = made.write(tmp_path, key=signers[0])
    root = made.unpack(kit, tmp_path / "there")
    told = "The kit kit-2 is whole: 7 files, signed by operator@example.edu."
    for where in (kit, root):
        assert verify.main(["--kit", str(where), "--allowed-signers", str(signers[1])]) == told


def test_an_operator_may_change_inventories_and_make_what_a_checkout_makes(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / "inventories/local/hosts.yml").write_text("mine")
    (root / ".venv").mkdir()
    (root / ".venv/stamp").touch()
    assert "is whole" in verify.main(["--kit", str(root)])


@pytest.mark.parametrize("part", [0.02, 0.5, 0.8, 0.95])
def test_a_file_that_was_cut_is_refused(tmp_path, part):
    kit, _ = made.write(tmp_path)
    content = kit.read_bytes().rstrip(b"\0")  # what ends a tar may be cut
    kit.write_bytes(content[: int(len(content) * part)])
    assert "copy it again" in refused("--kit", kit)


def test_a_file_that_was_cut_between_two_members_is_refused(tmp_path):
    kit, manifest = made.write(tmp_path)
    whole = kit.read_bytes()
    end = whole.rindex(f"{manifest.name}/{made.CONFIG}".encode())
    kit.write_bytes(whole[:end] + bytes(10240))
    assert refused("--kit", kit) == f"{kit} was cut: it lacks {made.CONFIG} and 0 more files; copy it again."


@pytest.mark.parametrize("name", ["tasks.py", made.WHEEL, made.LAYER])
def test_a_changed_file_is_refused_by_name(tmp_path, name):
    kit, _ = made.write(tmp_path)
    root = made.unpack(kit, tmp_path / "there")
    (root / name).write_text("other")
    assert refused("--kit", root).startswith(f"{root / name} is not the file that the kit was made with")
    kit.write_bytes(kit.read_bytes().replace(made.FILES[name].encode() + b"\0", b"x" * len(made.FILES[name]) + b"\0"))
    assert f"{name} in {kit} is not the file that the kit was made with" in refused("--kit", kit)


def test_a_file_that_was_added_is_refused_by_name(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / "images").mkdir()
    (root / "images/json.py").touch()
    assert refused("--kit", root).startswith("images/json.py is not in the manifest of the kit kit-2")


def test_a_missing_file_is_refused_by_name(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / made.LAYER).unlink()
    assert refused("--kit", root) == f"{root / made.LAYER} is missing: copy the kit again and unpack it anew."


def test_a_kit_for_another_architecture_is_refused(tmp_path):
    root = made.unpack(made.write(tmp_path, machine="riscv64")[0], tmp_path / "there")
    assert refused("--kit", root).startswith("The kit kit-2 is for riscv64, and this machine is ")


def test_a_kit_of_a_later_form_is_refused(tmp_path):
    root = made.unpack(made.write(tmp_path, schema=2)[0], tmp_path / "there")
    assert refused("--kit", root).endswith("has form 2, and this toolkit reads 1: use its own.")


def test_a_manifest_that_was_cut_is_refused(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / MANIFEST).write_text((root / MANIFEST).read_text()[:100])
    assert "is no manifest of a kit, or was cut" in refused("--kit", root)


def test_a_kit_that_is_not_signed_is_refused_where_signers_are_named(tmp_path, signers):
    kit, _ = made.write(tmp_path)
    root = made.unpack(kit, tmp_path / "there")
    for where in (kit, root):
        assert refused("--kit", where, "--allowed-signers", signers[1]).startswith("The kit kit-2 is not signed, and ")


def test_a_kit_of_an_unknown_signer_is_refused(tmp_path, signers):
    kit, _ = made.write(tmp_path, key=made.new_key(tmp_path / "stranger"))
    said = refused("--kit", kit, "--allowed-signers", signers[1])
    assert said.startswith(f"The kit kit-2 is signed by a key that is not in {signers[1]}")


def test_a_changed_manifest_is_refused_though_its_files_fit_it(tmp_path, signers):
    """Who changes a file can write its hash into the manifest, and cannot sign it."""
    root = made.unpack(made.write(tmp_path, key=signers[0])[0], tmp_path / "there")
    told = json.loads((root / MANIFEST).read_text())
    (root / made.WHEEL).unlink()
    del told["files"][made.WHEEL]
    (root / MANIFEST).write_text(json.dumps(told))
    assert "is whole" in verify.main(["--kit", str(root)])
    assert refused("--kit", root, "--allowed-signers", signers[1]).startswith("The signature of the kit kit-2 is of an")


def test_a_signature_for_another_purpose_is_none(tmp_path, signers, monkeypatch):
    monkeypatch.setattr("builder.kit.signature.NAMESPACE", "git")
    kit, _ = made.write(tmp_path, key=signers[0])
    monkeypatch.undo()
    assert "The signature of the kit kit-2" in refused("--kit", kit, "--allowed-signers", signers[1])


def test_a_file_of_signers_that_is_missing_is_named(tmp_path):
    kit, _ = made.write(tmp_path)
    assert refused("--kit", kit, "--allowed-signers", tmp_path / "gone").startswith(f"There is no file {tmp_path}/gone")


def test_a_key_that_cannot_sign_is_named(tmp_path):
    with pytest.raises(Refusal, match=r"ssh-keygen cannot sign with .*gone \("):
        made.write(tmp_path, key=tmp_path / "gone")


def test_what_is_no_kit_is_refused(tmp_path):
    (tmp_path / "x.tar").write_text("x")
    assert "is no whole kit" in refused("--kit", tmp_path / "x.tar")
    assert refused("--kit", tmp_path / "y.tar").startswith(f"There is no file {tmp_path}/y.tar")
    assert refused("--kit", tmp_path).startswith(f"{tmp_path} is no kit that was unpacked")


def test_wheels_of_another_python_are_refused_before_pip_is_asked(tmp_path):
    root = made.unpack(made.write(tmp_path, pythons=("3.10",))[0], tmp_path / "there")
    assert refused("--kit", root, "--first", "wheels").startswith("The kit's wheels are for Python 3.10, and this is ")


def test_a_suite_without_packages_is_refused_with_the_option_to_add(tmp_path):
    kit = Kit.at(made.unpack(made.write(tmp_path)[0], tmp_path / "there"))
    with pytest.raises(Refusal, match=r"has packages for bookworm, and the host has sid: make a kit with --suite sid"):
        packages.gather(kit, "sid", tmp_path)


def test_a_refusal_is_one_line_and_exit_code_2(capsys):
    def program(_words):
        raise Refusal("No.")

    assert ended("kit", program, []) == 2
    assert capsys.readouterr().err == "kit: No.\n"


def test_a_checkout_that_is_no_kit_is_none(tmp_path):
    assert Kit.at(tmp_path) is None
    shutil.rmtree(tmp_path)


def test_an_image_is_checked_before_the_engine_gets_it(tmp_path):
    kit = Kit.at(made.unpack(made.write(tmp_path)[0], tmp_path / "there"))
    (kit.root / made.LAYER).write_text("other")
    with pytest.raises(Refusal, match=made.LAYER):
        kit.archive("eduhub/edge:bookworm", io.BytesIO())
    assert not (kit.root / SIGNATURE).exists()


def test_a_machine_without_ssh_keygen_is_told_where_it_is(tmp_path, signers, monkeypatch):
    kit, _ = made.write(tmp_path, key=signers[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused("--kit", kit, "--allowed-signers", signers[1]).startswith("There is no ssh-keygen here")
