"""What is in a kit, what an older one spares, and what is taken from it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from builder import Refusal, catalogue, inputs
from builder.build import Builder
from builder.kit import __main__ as program
from builder.kit import packages, verify
from builder.kit.others import load_others
from builder.kit.unpacked import MANIFEST, Kit
from builder.report import Progress
from module_utils.image_layers import described
from module_utils.image_signatures import STATEMENT, file_of, subject
from tests.unit.builder.kit import made

CHECKOUT = Path(__file__).resolve().parents[4]


def test_the_manifest_comes_first_and_inventories_are_not_in_it(tmp_path):
    kit, manifest = made.write(tmp_path)
    with tarfile.open(kit) as archive:
        names = archive.getnames()
    assert names[0] == f"kit-2/{MANIFEST}"
    assert set(names[1:]) == {f"kit-2/{name}" for name in made.FILES}
    assert set(manifest.files) == set(made.FILES) - {"inventories/local/hosts.yml"}


def test_a_later_kit_leaves_out_what_the_older_one_has_and_says_which_it_needs(tmp_path):
    kit_1, first = made.write(tmp_path, "kit-1")
    newer = {**made.FILES, made.WHEEL: "another wheel"}
    kit_2, second = made.write(tmp_path, "kit-2", newer, older=first)
    kit_3, third = made.write(tmp_path, "kit-3", newer, older=second)
    with tarfile.open(kit_2) as archive:
        assert f"kit-2/{made.LAYER}" not in archive.getnames()
        assert {f"kit-2/{made.WHEEL}", "kit-2/tasks.py"} <= set(archive.getnames())
    assert (first.needs, second.needs, third.needs) == ([], ["kit-1"], ["kit-1", "kit-2"])
    assert verify.main(["--kit", str(kit_3)]).endswith("It needs kit-1 and kit-2 beside it.")

    root = made.unpack(kit_3, tmp_path / "there")
    with pytest.raises(Refusal, match=rf"The kit kit-3 needs kit-1 beside it: unpack that in {root.parent}\."):
        Kit.at(root).checked(made.LAYER)
    for each in (kit_1, kit_2):
        made.unpack(each, tmp_path / "there")
    assert "is whole" in verify.main(["--kit", str(root)])
    (root.parent / "kit-1" / made.LAYER).write_text("changed there")
    with pytest.raises(Refusal, match=f"kit-1/{made.LAYER} is not the file"):
        verify.main(["--kit", str(root)])


def test_pip_gets_wheels_from_this_kit_and_from_the_older_one_and_from_no_index(tmp_path):
    older, first = made.write(tmp_path, "kit-1")
    newer, _ = made.write(tmp_path, "kit-2", {**made.FILES, "kit/wheels/v.whl": "another"}, older=first)
    there = [made.unpack(kit, tmp_path / "there") for kit in (older, newer)]
    links = [f"--find-links={root / 'kit/wheels'}" for root in there]
    assert verify.main(["--kit", str(there[1]), "--wheels"]).splitlines() == ["--no-index", *links]


def test_an_archive_of_an_image_is_what_docker_load_reads(tmp_path):
    kit, file = Kit.at(made.unpack(made.write(tmp_path)[0], tmp_path / "there")), io.BytesIO()
    kit.archive("eduhub/edge:bookworm", file)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        told = json.loads(archive.extractfile("manifest.json").read())
        assert told == [{"Config": "c.json", "RepoTags": ["eduhub/edge:bookworm"], "Layers": ["a.tar"]}]
        assert archive.extractfile("a.tar").read() == b"layer"


class Saving:
    """An engine with one image, whose `docker save` has the layer as the bytes `layer`."""

    def __init__(self, diff_id: str, layer: bytes):
        self.config = json.dumps({"rootfs": {"diff_ids": [diff_id]}}).encode()
        self.layer = layer

    def labels(self, _tag):
        return {}

    def save(self, tag, path):
        told = [{"Config": "c", "RepoTags": [tag], "Layers": ["l"]}]
        with tarfile.open(path, "w") as archive:
            for name, content in (("manifest.json", json.dumps(told).encode()), ("c", self.config), ("l", self.layer)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


PLAIN = b"a layer"
DIFF_ID = f"sha256:{hashlib.sha256(PLAIN).hexdigest()}"


@pytest.mark.parametrize("saved", [PLAIN, gzip.compress(PLAIN)], ids=["plain", "by containerd's image store"])
def test_a_layer_is_compressed_once_however_the_engine_gives_it(tmp_path, monkeypatch, saved):
    monkeypatch.setattr(program, "Engine", lambda: Saving(DIFF_ID, saved))
    part, images = program.images_of(["a:1"], tmp_path / "images")
    (layer,) = images["a:1"]["layers"]
    assert gzip.decompress(part.files[layer].read_bytes()) == PLAIN


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        (b"another layer", "a layer that is not the one its configuration names"),
        (gzip.compress(PLAIN)[:-9], "a layer that is not the one its configuration names"),
        (b"\x28\xb5\x2f\xfd and more", "layers in zstd, which a kit cannot hold"),
    ],
    ids=["changed", "cut", "zstd"],
)
def test_a_layer_that_no_engine_would_load_is_refused_as_the_kit_is_made(tmp_path, monkeypatch, saved, why):
    monkeypatch.setattr(program, "Engine", lambda: Saving(DIFF_ID, saved))
    with pytest.raises(Refusal, match=f"gives a:1 with {why}"):
        program.images_of(["a:1"], tmp_path / "images")


def test_packages_for_a_host_are_an_archive_that_apt_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "DISK", str(tmp_path / "disk"))
    (tmp_path / "disk").mkdir()
    kit = Kit.at(made.unpack(made.write(tmp_path)[0], tmp_path / "there"))
    with tarfile.open(packages.archive(kit, "bookworm")) as archive:
        assert archive.getnames() == ["Packages", "p.deb"]
    (made_of,) = (tmp_path / "disk").iterdir()
    assert [path.name for path in made_of.iterdir()] == ["packages.tar"]
    (kit.root / made.PACKAGE).write_text("other")
    with pytest.raises(Refusal, match="is not the file"):
        packages.archive(kit, "bookworm")
    assert [*(tmp_path / "disk").iterdir()] == [made_of]


def entered(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type `./invoke` in a kit that was unpacked in `root`, with our own `invoke` and builder."""
    shutil.copy(CHECKOUT / "invoke", root)
    (root / "requirements.txt").touch()
    builder = (f"images/builder/{name}" for name in ("__init__.py", "kit", "pip_settings.py", "signing.py"))
    for name in (*builder, "ansible/module_utils"):
        source, target = CHECKOUT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    env = {**os.environ, "EDUHUB_PYTHON": sys.executable, **environment}
    return subprocess.run([root / "invoke"], env=env, capture_output=True, text=True, check=False, timeout=300)


def test_invoke_refuses_a_kit_with_a_changed_wheel_and_makes_nothing(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "with a space")
    (root / made.WHEEL).write_text("other")
    done = entered(root)
    assert (done.returncode, done.stdout) == (2, "")
    again = "copy the kit again and unpack it anew"
    assert done.stderr == f"kit.verify: {root / made.WHEEL} is not the file that the kit was made with: {again}.\n"
    assert not (root / ".venv").exists()


def program_of(path: Path, text: str) -> Path:
    """Write a shell script; return its path."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("user", "said"), [("1000", "type: sudo env PYTHONPATH="), ("0", "from the kit\nkit: ")])
def test_invoke_takes_venv_from_the_kit_or_says_who_is_root_how(tmp_path, user, said):
    """A machine without a network has no other place that gives python3-venv."""
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    python = program_of(tmp_path / "bin/python", f'case "$*" in *ensurepip*) exit 1; esac; exec {sys.executable} "$@"')
    program_of(tmp_path / "bin/id", f"echo {user}")
    program_of(tmp_path / "bin/apt-get", "exit 1")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = entered(root, EDUHUB_PYTHON=str(python), PATH=path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "apt-get install python3-venv" not in done.stderr


def test_invoke_does_not_blame_the_network_where_a_kit_lacks_a_wheel(tmp_path):
    root = made.unpack(made.write(tmp_path)[0], tmp_path / "there")
    (root / "requirements.txt").write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    done = entered(root)
    assert done.returncode == 2
    assert "pip could not install the kit's wheels (" in done.stderr
    assert "network" not in done.stderr


class Loading:
    """An engine that has nothing, and remembers what it loads."""

    def __init__(self) -> None:
        self.loaded: dict[str, dict] = {}

    def inspect(self, tag):
        return self.loaded.get(tag)

    def labels(self, tag):
        return self.loaded[tag]["Config"]["Labels"] if tag in self.loaded else None

    def load(self, archive, tag):
        with tarfile.open(fileobj=archive) as tar:
            (told,) = json.loads(tar.extractfile("manifest.json").read())
            labels = json.loads(tar.extractfile(told["Config"]).read())
        (tag,) = told["RepoTags"]
        self.loaded[tag] = {"Id": "sha256:1", "Size": 1, "Config": {"Labels": labels}}


def kit_with(tmp_path: Path, tag: str, labels: dict[str, str], base: dict[str, str] | None = None) -> Kit:
    """Return a kit with the image `tag`, which has these labels."""
    image = {**made.IMAGE, "inputs": labels["org.eduhub.inputs"], "base": base or {}}
    files = {**made.FILES, made.CONFIG: json.dumps(labels)}
    return Kit.at(made.unpack(made.write(tmp_path, files=files, images={tag: image})[0], tmp_path / "there"))


@pytest.fixture
def bridge(tree):
    """An image that stands on another one, and the builder's view of the tree it is in."""
    images = catalogue.load(tree)
    return next(image for image in images if image.short == "bridge:py3.13"), images, tree


def labels_of(image, tree, base: str) -> dict[str, str]:
    return {"org.eduhub.inputs": inputs.digest(image, base, tree), "org.eduhub.manifest": "m"}


def test_an_image_is_loaded_from_the_kit_and_nothing_is_built_not_even_what_it_stands_on(bridge, tmp_path):
    image, images, tree = bridge
    engine = Loading()
    base = next(each for each in images if each.tag == image.base)
    kit = kit_with(tmp_path, image.tag, labels_of(image, tree, inputs.digest(base, "", tree)))
    builder = Builder(engine, images, Progress(io.StringIO()), missing=True, directory=tree, kit=kit)
    assert [(result.image, result.state) for result in builder.run([image])] == [(image.tag, "loaded")]
    again = Builder(engine, images, Progress(io.StringIO()), missing=True, directory=tree, kit=kit)
    assert [(result.image, result.state) for result in again.run([image])] == [(image.tag, "present")]
    assert list(engine.loaded) == [image.tag]


def test_an_image_on_a_given_base_is_taken_as_such(bridge, tmp_path):
    image, images, tree = bridge
    given = {"org.eduhub.base": "site/python", "org.eduhub.base.id": "sha256:9"}
    kit = kit_with(tmp_path, image.tag, labels_of(image, tree, "sha256:9") | given, given)
    builder = Builder(Loading(), images, Progress(io.StringIO()), missing=True, directory=tree, kit=kit)
    assert [result.state for result in builder.run([image])] == ["loaded"]


def test_an_image_that_the_kit_has_not_or_of_other_files_is_refused_and_not_built(bridge, tmp_path):
    image, images, tree = bridge
    kit = kit_with(tmp_path, image.tag, {"org.eduhub.inputs": "other"})
    builder = Builder(Loading(), images, Progress(io.StringIO()), missing=True, directory=tree, kit=kit)
    with pytest.raises(Refusal, match="and the kit kit-2 has it as made of other files than are here; unpack it anew"):
        list(builder.run([image]))
    older = next(each for each in images if each.short == "bridge:py3.11")
    with pytest.raises(Refusal, match=r"bridge:py3.11: .* kit-2 does not either; .* ./invoke kit --python 3.11\."):
        list(builder.run([older]))
    plone = next(each for each in images if each.name == "plone")
    said = f"set plone_version: {plone.version} and plone_python: '{plone.python}' in the inventory"
    with pytest.raises(Refusal, match=re.escape(said)):
        list(builder.run([plone]))


@pytest.mark.parametrize(
    ("there", "is_loaded"),
    [
        (None, True),
        ({}, False),
        ({"Config": {"Env": ["A=2"], "Cmd": None}}, True),
        ({"RootFS": {"Layers": ["sha256:b"]}}, True),
        ({"Created": "2025-01-01T00:00:00Z"}, True),
    ],
)
def test_an_image_of_an_institution_is_loaded_unless_the_same_is_there(tmp_path, there, is_loaded):
    tag = "school/bridge:1"
    config = {"created": "2026-01-01T00:00:00.5Z", "config": {"Env": ["A=1"]}}
    files = {**made.FILES, made.CONFIG: json.dumps(config)}
    kit = Kit.at(made.unpack(made.write(tmp_path, files=files, images={tag: made.IMAGE})[0], tmp_path / "there"))
    engine = Loading()
    if there is not None:
        same = {"Id": "sha256:1", "Created": "2026-01-01T00:00:00.50Z", "RootFS": {"Layers": ["sha256:a"]}}
        engine.loaded[tag] = {**same, "Config": {"Env": ["A=1"], "Cmd": None}, **there}
    before = engine.loaded.get(tag)
    load_others(kit, engine, [tag, "school/edge:1"], Progress(io.StringIO()))
    assert (engine.loaded[tag] is not before) is is_loaded


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_tree_that_differs_from_its_commit_is_refused_and_an_inventory_of_ones_own_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    with pytest.raises(Refusal, match="A kit is made in a git checkout, and this is none"):
        program.clean_commit()
    git(tmp_path, "init")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "a")
    (tmp_path / "inventories/school").mkdir(parents=True)
    (tmp_path / "inventories/school/hosts.yml").touch()
    assert len(program.clean_commit()) == 40
    (tmp_path / "a").write_text("b")
    with pytest.raises(Refusal, match="A kit is of a commit, and a differ"):
        program.clean_commit()


@pytest.fixture
def inventories(tmp_path, monkeypatch) -> Path:
    """The inventories of a checkout, with three that are committed."""
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    for name in ("example", "school", "other"):
        (tmp_path / "inventories" / name).mkdir(parents=True)
        (tmp_path / "inventories" / name / "hosts.yml").write_text("all:\n")
    (tmp_path / ".gitignore").write_text("secret\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "a")
    return tmp_path / "inventories"


def test_a_kit_brings_the_inventory_it_is_for_and_none_of_others(inventories, tmp_path):
    part = program.toolkit(tmp_path / "toolkit", inventories / "school")
    assert set(part.files) == {".gitignore", "inventories/example/hosts.yml", "inventories/school/hosts.yml"}
    part = program.toolkit(tmp_path / "toolkit-2", inventories / "school/hosts.yml")
    assert "inventories/school/hosts.yml" in part.files


def test_files_of_the_inventory_that_no_commit_has_are_named(inventories, tmp_path):
    assert program.uncommitted(inventories / "school") == []
    (inventories / "school/secret").touch()
    (inventories / "school/a b.yml").touch()
    (inventories / "other/c.yml").touch()
    names = ["inventories/school/a b.yml", "inventories/school/secret"]
    assert program.uncommitted(inventories / "school") == names
    assert program.uncommitted(tmp_path.parent) == [str(tmp_path.parent)]


def test_an_inventory_that_differs_from_the_commit_is_refused(inventories):
    (inventories / "school/hosts.yml").write_text("all: {}\n")
    with pytest.raises(Refusal, match=r"and inventories/school/hosts\.yml differs from it: commit it"):
        program.uncommitted(inventories / "school")
    assert program.uncommitted(inventories / "other") == []


def test_an_unknown_suite_is_refused():
    with pytest.raises(Refusal, match="There is no Debian suite 'sid': choose bullseye, bookworm, trixie"):
        program.target_of("sid")


def test_a_kit_without_any_signature_lacks_none(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    assert program.signatures(Inspected(), ["eduhub/edge:bookworm"]) == ({}, [])


def facts_of(tag):
    """What the engine says of an image."""
    return {"Id": f"sha256:{tag}", "Created": "2026-11-29T18:30:15Z", "RootFS": {"Layers": [tag]}, "Config": {}}


class Inspected:
    """Stands for an engine that has every image."""

    def inspect(self, tag):
        return facts_of(tag)


def sign(checkout, tag, facts):
    """Write a statement about an image, and beside it what stands for a signature; return the path of that."""
    file = checkout / "provenance" / file_of(tag)
    file.write_text(json.dumps({"_type": STATEMENT, "subject": [subject(tag, described(facts))]}))
    beside = file.with_name(f"{file.name}.sig")
    beside.write_text("signature")
    return beside


def test_signatures_are_in_every_kit_also_in_one_that_holds_only_what_is_new(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    (tmp_path / "provenance").mkdir()
    edge, pilot, bridge = "eduhub/edge:bookworm", "eduhub/pilot:py3.11", "eduhub/bridge:py3.11"
    sign(tmp_path, edge, facts_of(edge))
    assert program.signatures(Inspected(), [edge])[1] == []
    sign(tmp_path, bridge, {**facts_of(bridge), "Created": "2026-01-01T00:00:00Z"})
    sign(tmp_path, pilot, facts_of(pilot)).unlink()
    found, unsigned = program.signatures(Inspected(), [edge, pilot, bridge])
    assert unsigned == [pilot, bridge], "one without a signature, and one that was built again since"
    names = ["kit/provenance/edge-bookworm.json", "kit/provenance/edge-bookworm.json.sig"]
    assert [*found] == names
    files = made.FILES | {name: path.read_text() for name, path in found.items()}
    _, first = made.write(tmp_path, "kit-1", files)
    _, second = made.write(tmp_path, "kit-2", files, older=first)
    assert ([name for name in names if "from" in second.files[name]], "from" in second.files[made.LAYER]) == ([], True)
