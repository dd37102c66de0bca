"""A kit that is cut, changed, of another machine, incomplete or not signed as asked is refused, in one sentence."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from builder import Refusal
from builder.kit import __main__ as program
from builder.kit import packages, verify
from builder.kit.unpacked import MANIFEST, Kit, ended
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


def test_a_whole_kit_passes_as_a_file_and_unpacked_and_the_signer_of_the_file_is_named(tmp_path, signers):
    kit, _ = made.write(tmp_path, key=signers[0])
    told = verify.main(["--kit", str(kit), "--allowed-signers", str(signers[1])])
    assert told == "The kit kit-2 is whole: 7 files, signed by operator@example.edu."
    root = made.unpack(kit, tmp_path / "there")
    assert verify.main(["--kit", str(root)]) == "The kit kit-2 is whole: 7 files."
    assert "name the file with --kit" in refused("--kit", root, "--allowed-signers", signers[1])


def test_the_signature_is_what_the_runbook_checks_with_debians_program_alone(tmp_path, signers):
    kit, _ = made.write(tmp_path, key=signers[0])
    common = ["-f", str(signers[1]), "-n", "eduhub-rollout-kit", "-s", f"{kit}.sig"]
    found = subprocess.run(["ssh-keygen", "-Y", "find-principals", *common], capture_output=True, check=True)
    with kit.open("rb") as file:
        who = found.stdout.decode().strip()
        subprocess.run(["ssh-keygen", "-Y", "verify", "-I", who, *common], stdin=file, capture_output=True, check=True)


def test_an_operator_may_change_inventories(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / "inventories/local/hosts.yml").write_text("mine")
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


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Return an empty member of a tar; a link leads out of it."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return info


@pytest.mark.parametrize(
    "added",
    [
        member("kit-2/images/json.py"), member("other/tasks.py"), member("tasks.py"), member("/kit-2/tasks.py"),
        member("kit-2/inventories/../tasks.py"), member("kit-2/./tasks.py"), member("kit-2/tasks.py"),
        member("kit-2/inventories/local/hosts.yml"), member("kit-2/inventories/a", tarfile.SYMTYPE),
        member("kit-2/inventories/a", tarfile.FIFOTYPE), member("kit-2/inventories/a", tarfile.DIRTYPE),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)  # fmt: skip
def test_a_member_that_no_kit_has_is_refused_by_name(tmp_path, added):
    """Added, of another directory, leading out of its own, there twice, or no file."""
    kit, _ = made.write(tmp_path)
    with tarfile.open(kit, "a") as archive:
        archive.addfile(added)
    assert refused("--kit", kit).startswith(f"{added.name} in {kit} is no")


def test_the_directory_in_a_kit_is_named_as_its_manifest_says(tmp_path):
    kit, _ = made.write(tmp_path)
    other = tmp_path / "other.tar"
    with tarfile.open(kit) as source, tarfile.open(other, "w") as target:
        for info in source:
            content = source.extractfile(info)
            info.name = info.name.replace("kit-2", "kit-3")
            target.addfile(info, content)
    assert "is not in its manifest" in refused("--kit", other)


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
    assert refused("--kit", kit, "--allowed-signers", signers[1]).startswith(f"There is no signature {kit}.sig: ")


def test_a_kit_of_an_unknown_signer_is_refused(tmp_path, signers):
    kit, _ = made.write(tmp_path, key=made.new_key(tmp_path / "stranger"))
    said = refused("--kit", kit, "--allowed-signers", signers[1])
    assert said.startswith(f"{kit} is signed by a key that {signers[1]} does not allow (No principal matched): ")


@pytest.mark.parametrize(
    ("option", "why"), [('namespaces="git"', "not permitted for use in"), ('valid-before="20200101"', "has expired")]
)
def test_a_key_that_is_allowed_for_something_else_is_told_as_that(tmp_path, signers, option, why):
    kit, _ = made.write(tmp_path, key=signers[0])
    signers[1].write_text(signers[1].read_text().replace(" ", f" {option} ", 1))
    said = refused("--kit", kit, "--allowed-signers", signers[1])
    assert "does not allow" in said
    assert why in said


@pytest.mark.parametrize("name", ["tasks.py", "inventories/local/hosts.yml", MANIFEST])
def test_a_kit_of_which_anything_was_changed_is_refused_where_signers_are_named(tmp_path, signers, name):
    kit, _ = made.write(tmp_path, key=signers[0])
    with tarfile.open(kit) as archive:
        at = archive.getmember(f"kit-2/{name}").offset_data
    content = bytearray(kit.read_bytes())
    content[at] ^= 1
    kit.write_bytes(content)
    said = refused("--kit", kit, "--allowed-signers", signers[1])
    assert said.startswith(f"{kit}.sig is no signature of {kit} (Signature verification failed: incorrect signature)")


def test_a_signature_for_another_purpose_is_none(tmp_path, signers, monkeypatch):
    monkeypatch.setattr("builder.kit.signature.NAMESPACE", "git")
    kit, _ = made.write(tmp_path, key=signers[0])
    monkeypatch.undo()
    assert "namespace does not match" in refused("--kit", kit, "--allowed-signers", signers[1])


def test_a_file_of_signers_that_is_missing_is_named(tmp_path):
    kit, _ = made.write(tmp_path)
    assert refused("--kit", kit, "--allowed-signers", tmp_path / "gone").startswith(f"There is no file {tmp_path}/gone")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sign-key", "gone"], r"ssh-keygen cannot sign with gone \("),
        (["--since", "."], r"--since \. cannot be used\. \. is no kit that was unpacked"),
        (["--since", "old.tar"], r"--since old.tar cannot be used\. There is no file old.tar"),
    ],
)
def test_what_a_kit_cannot_be_made_with_is_told_before_anything_is_fetched(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "clean_commit", lambda: "c" * 40)
    monkeypatch.setattr(program, "toolkit", lambda _: pytest.fail("the kit was begun"))
    with pytest.raises(Refusal, match=said):
        program.main(["--suite", "bookworm", "--tags", "a", *words])


def test_what_is_no_kit_is_refused(tmp_path):
    (tmp_path / "x.tar").write_text("x")
    assert "is no whole kit" in refused("--kit", tmp_path / "x.tar")
    assert refused("--kit", tmp_path / "y.tar").startswith(f"There is no file {tmp_path}/y.tar")
    assert refused("--kit", tmp_path).startswith(f"{tmp_path} is no kit that was unpacked")


def test_wheels_of_another_python_are_refused_before_pip_is_asked(tmp_path):
    root = made.unpack(made.write(tmp_path, pythons=("3.10",))[0], tmp_path / "there")
    assert refused("--kit", root, "--wheels").startswith("The kit's wheels are for Python 3.10, and this is ")


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


def test_a_machine_without_ssh_keygen_is_told_where_it_is(tmp_path, signers, monkeypatch):
    kit, _ = made.write(tmp_path, key=signers[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused("--kit", kit, "--allowed-signers", signers[1]).startswith("There is no ssh-keygen here")
