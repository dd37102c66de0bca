"""An image reaches a host as the layers that the host lacks: what is left out is what its engine has already."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from library import host_images, image_archives
from module_utils.image_layers import chains, described, identity, lacking, write

BASE, LIBRARIES, OLD, NEW, OTHER = (f"content of {name}".encode() * 400 for name in ("base", "lib", "1", "2", "x"))
BRIDGE, NEXT, PILOT = [BASE, LIBRARIES, OLD], [BASE, LIBRARIES, NEW], [BASE, OTHER]


def diff(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def config(layers: list[bytes], created: str = "2026-11-29T19:37:22.120000000Z") -> dict[str, Any]:
    """A configuration as `docker save` writes it."""
    return {"created": created, "config": {"User": "10001"}, "rootfs": {"diff_ids": [diff(each) for each in layers]}}


def inspected(layers: list[bytes], created: str = "2026-11-29T19:37:22.12Z") -> dict[str, Any]:
    """The same image as `docker image inspect` shows it, with what only some engines write."""
    return {
        "Id": diff(b"".join(layers)), "Created": created, "RootFS": {"Layers": [diff(each) for each in layers]},
        "Config": {"User": "10001", "Cmd": None, "Env": [], "Image": "sha256:1", "Hostname": ""},
    }  # fmt: skip


def saved(path: Path, **images: list[bytes]) -> Path:
    """An archive of `docker save`; as engine 20.10 does it, a repeated layer is a link to the first."""
    first: dict[bytes, str] = {}
    manifest = []
    with tarfile.open(path, "w") as archive:

        def add(name: str, content: bytes) -> str:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            return name

        for name, layers in images.items():
            members = []
            for number, content in enumerate(layers):
                member = f"{name}{number}/layer.tar"
                if content in first:
                    link = tarfile.TarInfo(member)
                    link.type, link.linkname = tarfile.SYMTYPE, f"../{first[content]}"
                    archive.addfile(link)
                else:
                    first[content] = add(member, content)
                members.append(member)
            told = json.dumps(config(layers)).encode()
            entry = {"Config": add(f"{name}.json", told), "RepoTags": [f"hub/{name}:1"], "Layers": members}
            manifest.append(entry)
        add("manifest.json", json.dumps(manifest).encode())
    return path


def loaded(path: Path, have: list[list[bytes]] | None = None) -> dict[str, list[bytes]]:
    """Load an archive as the engine does, which has the layers of `have`; return each tag's layers."""
    known: dict[str, bytes] = {}
    for layers in have or []:
        known |= zip(chains(map(diff, layers)), layers, strict=True)
    with tarfile.open(path) as archive:

        def read(name: str) -> bytes:
            content = archive.extractfile(name)
            assert content is not None
            return content.read()

        found = {}
        for image in json.loads(read("manifest.json")):
            ids = json.loads(read(image["Config"]))["rootfs"]["diff_ids"]
            for chain, member, id_ in zip(chains(ids), image["Layers"], ids, strict=True):
                known[chain] = known.get(chain) or read(member)
                assert diff(known[chain]) == id_
            found[image["RepoTags"][0]] = [known[chain] for chain in chains(ids)]
        return found


def wanted(**images: list[bytes]) -> dict[str, dict[str, Any]]:
    return {name: described(inspected(layers)) for name, layers in images.items()}


def known(*images: list[bytes]) -> list[list[str]]:
    return [[diff(each) for each in layers] for layers in images]


def test_the_engines_name_for_a_layer_depends_on_all_below_it():
    upper = hashlib.sha256(f"{diff(BASE)} {diff(OLD)}".encode()).hexdigest()
    assert list(chains([diff(BASE), diff(OLD)])) == [diff(BASE), f"sha256:{upper}"]
    assert list(chains([diff(OTHER), diff(OLD)]))[1] != f"sha256:{upper}"


def test_an_image_is_the_same_whatever_id_an_engine_gives_it():
    here, there = described(inspected(BRIDGE)), described({**inspected(BRIDGE, "2026-11-29T19:37:22.120Z"), "Id": "x"})
    assert lacking({"bridge": here}, {"bridge": there}, ()) == {}
    for other in (inspected(NEXT), inspected(BRIDGE, "2026-11-29T19:37:23Z")):
        assert lacking({"bridge": here}, {"bridge": described(other)}, ())
    told = inspected(BRIDGE)
    for changed in ({"User": "0"}, {"StopSignal": "SIGQUIT"}, {"ExposedPorts": {"1/tcp": {}}}, {"Volumes": {"/v": {}}}):
        assert lacking({"bridge": here}, {"bridge": described({**told, "Config": {**told["Config"], **changed}})}, ())


def test_an_image_that_does_not_say_when_it_was_made_is_the_same_everywhere():
    assert identity("", [diff(BASE)], {}) == identity("0001-01-01T00:00:00Z", [diff(BASE)], {})


def test_only_layers_that_stand_on_the_same_ones_count_as_there():
    (next_,) = lacking(wanted(bridge=NEXT), wanted(bridge=BRIDGE), known(BRIDGE)).values()
    assert next_["missing"] == [diff(NEW)]
    (moved,) = lacking(wanted(bridge=[OTHER, LIBRARIES]), {}, known(BRIDGE, PILOT)).values()
    assert moved["missing"] == [diff(OTHER), diff(LIBRARIES)]


def test_an_archive_brings_what_the_host_lacks_and_no_more(tmp_path):
    exported = saved(tmp_path / "all.tar", bridge=NEXT, pilot=PILOT)
    needs = lacking(wanted(bridge=NEXT, pilot=PILOT), {}, known(BRIDGE))
    adds = write(exported, needs, tmp_path / "some.tar.gz")
    assert loaded(tmp_path / "some.tar.gz", [BRIDGE]) == {"hub/bridge:1": NEXT, "hub/pilot:1": PILOT}
    with tarfile.open(tmp_path / "some.tar.gz") as archive:
        assert sum(name.endswith(".tar") for name in archive.getnames()) == 2
    assert sum(each["bytes"] for each in adds.values()) == (tmp_path / "some.tar.gz").stat().st_size
    assert all(each["bytes"] > 0 for each in adds.values())


def test_a_whole_archive_needs_nothing_on_the_host_and_has_each_layer_once(tmp_path):
    exported = saved(tmp_path / "all.tar", bridge=NEXT, pilot=PILOT)
    write(exported, lacking(wanted(bridge=NEXT, pilot=PILOT), {}, known(BRIDGE)), tmp_path / "a.tar.gz", whole=True)
    assert loaded(tmp_path / "a.tar.gz") == {"hub/bridge:1": NEXT, "hub/pilot:1": PILOT}
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert sum(name.endswith(".tar") for name in archive.getnames()) == 4


def test_an_image_that_was_not_exported_is_an_error(tmp_path):
    exported = saved(tmp_path / "all.tar", pilot=PILOT)
    with pytest.raises(KeyError):
        write(exported, lacking(wanted(bridge=NEXT), {}, ()), tmp_path / "a.tar.gz")


ENGINE = """#!{python}
import json, shutil, sys
state = json.load(open({state!r}))
match sys.argv[1:]:
    case ["image", "inspect", "--format", _, *ids]:
        print("\\n".join(json.dumps(each["RootFS"]["Layers"]) for each in state["images"].values()))
    case ["image", "inspect", *names]:
        print(json.dumps([state["images"][name] for name in names if name in state["images"]]))
        absent = [name for name in names if name not in state["images"]]
        sys.exit("\\n".join(f"Error response from daemon: No such image: {{name}}" for name in absent) or None)
    case ["image", "ls", *_]:
        print("\\n".join(state["images"]))
    case ["version", "--format", _]:
        print("amd64")
    case ["info", *_]:
        print(json.dumps({{"DriverStatus": state["driver"]}}))
    case ["image", "load", "--quiet", "--input", archive]:
        state["images"] |= state["brings"]
        json.dump(state, open({state!r}, "w"))
        print(state["says"])
        sys.exit(state["refuses"])
    case ["image", "tag", id_, name]:
        state["images"][name] = next(each for each in state["images"].values() if each["Id"] == id_)
        json.dump(state, open({state!r}, "w"))
    case ["image", "rm", name]:
        del state["images"][name]
        json.dump(state, open({state!r}, "w"))
    case ["image", "save", "--output", path, *names]:
        open({state!r} + ".saved", "a").write(" ".join(names) + "\\n")
        shutil.copy(state["saves"], path)
"""


@pytest.fixture
def play(tmp_path, monkeypatch, capsys):
    """Return a function that plays a module with an engine that has `images`, and returns the module's result."""
    state = {
        "images": {"hub/bridge:1": inspected(BRIDGE)}, "driver": [], "saves": "",
        "brings": {}, "says": "", "refuses": None,
    }  # fmt: skip
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(ENGINE.format(python=sys.executable, state=str(tmp_path / "engine.json")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(module: Any, engine: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
        (tmp_path / "engine.json").write_text(json.dumps({**state, **(engine or {})}))
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out))

    return run


STORE = {"driver": [["driver-type", "io.containerd.snapshotter.v1"]]}
WANTED = wanted(**{"hub/bridge:1": NEXT, "hub/pilot:1": PILOT})
NAMES = ["hub/bridge:1", "hub/pilot:1"]


def test_a_host_tells_what_it_has_and_what_it_lacks(play):
    found = play(host_images, names=NAMES, wanted={**WANTED, **wanted(**{"hub/bridge:1": BRIDGE})})
    assert (found["changed"], list(found["images"]), found["absent"]) == (False, ["hub/bridge:1"], ["hub/pilot:1"])
    assert found["present"] == {"hub/bridge:1": {"id": diff(b"".join(BRIDGE)), "bytes": 0}}
    assert found["lacking"]["hub/pilot:1"]["missing"] == [diff(OTHER)]


def test_an_image_for_another_architecture_is_refused_before_anything_is_sent(play):
    arm = {**WANTED["hub/pilot:1"], "architecture": "arm64"}
    found = play(host_images, names=NAMES, wanted={**WANTED, "hub/pilot:1": arm})
    assert found["failed"]
    assert found["msg"].startswith("The image hub/pilot:1 is for the architecture arm64, and this host is amd64: ")
    same = {name: {**image, "architecture": "amd64"} for name, image in WANTED.items()}
    assert len(play(host_images, names=NAMES, wanted=same)["lacking"]) == 2


def test_an_engine_with_containerds_store_wants_every_layer(play):
    assert play(host_images, STORE, names=NAMES, wanted=WANTED)["lacking"]["hub/bridge:1"]["missing"] == [
        diff(each) for each in NEXT
    ]


def test_an_archive_is_loaded_and_removed(play, tmp_path):
    archive = tmp_path / "a.tar.gz"
    archive.write_text("")
    brings = {"hub/bridge:1": inspected(NEXT), "hub/pilot:1": inspected(PILOT)}
    checked = play(
        host_images, {"brings": brings}, names=NAMES, wanted=WANTED, archive=str(archive), _ansible_check_mode=True
    )
    assert (checked["changed"], len(checked["lacking"]), archive.exists()) == (False, 2, True)
    found = play(host_images, {"brings": brings}, names=NAMES, wanted=WANTED, archive=str(archive))
    assert (found["changed"], found["lacking"], archive.exists()) == (True, {}, False)


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ({"refuses": "open layer.tar: no such file or directory"}, "open layer.tar: no such file or directory"),
        ({}, "The engine loaded the archive and does not have hub/bridge:1, hub/pilot:1."),
    ],
)
def test_a_load_that_does_not_bring_the_images_fails_and_leaves_nothing(play, tmp_path, engine, why):
    archive = tmp_path / "a.tar.gz"
    archive.write_text("")
    found = play(host_images, engine, names=NAMES, wanted=WANTED, archive=str(archive))
    assert (found["failed"], found["msg"], archive.exists()) == (True, why, False)


def test_containerds_store_keeps_the_image_that_had_the_name(play, tmp_path):
    """Before engine 28.1 it forgets that image, though a container runs on it."""
    archive = tmp_path / "a.tar.gz"
    archive.write_text("")
    brings = {"hub/bridge:1": inspected(NEXT), "hub/pilot:1": inspected(PILOT)}
    found = play(host_images, {**STORE, "brings": brings}, names=NAMES, wanted=WANTED, archive=str(archive))
    there = json.loads((tmp_path / "engine.json").read_text())["images"]
    assert (found["changed"], found["lacking"]) == (True, {})
    assert there == {**brings, "hub/bridge:1-before": inspected(BRIDGE)}


@pytest.mark.parametrize(
    ("says", "refuses", "why"),
    [
        (  # an engine from 27.2 on, and one before
            "Loaded image: hub/bridge:1\nError unpacking image hub/bridge:1: write /x: no space left on device\n", None,
            "Error unpacking image hub/bridge:1: write /x: no space left on device",
        ),
        ("", "failed to unpack loaded image: no space left on device", "no space left on device"),
    ],
)  # fmt: skip
def test_an_image_that_containerds_store_could_not_unpack_has_no_name(play, tmp_path, says, refuses, why):
    archive = tmp_path / "a.tar.gz"
    archive.write_text("")
    engine = {**STORE, "brings": {"hub/bridge:1": inspected(NEXT), "hub/pilot:1": inspected(PILOT)},
              "says": says, "refuses": refuses}  # fmt: skip
    found = play(host_images, engine, names=NAMES, wanted=WANTED, archive=str(archive))
    there = json.loads((tmp_path / "engine.json").read_text())["images"]
    assert (found["failed"], why in found["msg"], archive.exists()) == (True, True, False)
    assert there == {"hub/bridge:1": inspected(BRIDGE), "hub/bridge:1-before": inspected(BRIDGE)}


def test_hosts_that_lack_the_same_share_an_archive_of_one_export(play, tmp_path):
    saves = {"saves": str(saved(tmp_path / "all.tar", bridge=NEXT, pilot=PILOT))}
    same, bare = lacking(WANTED, {}, known(BRIDGE, PILOT)), lacking(WANTED, {}, ())
    found = play(image_archives, saves, hosts={"h1": same, "h2": same, "h3": bare, "h4": {}})
    archives = found["archives"]
    assert archives["h1"] == archives["h2"] != archives["h3"]
    assert sorted(archives) == ["h1", "h2", "h3"]
    assert loaded(Path(archives["h2"]["path"]), [BRIDGE, PILOT]) == loaded(Path(archives["h3"]["path"]))
    assert (tmp_path / "engine.json.saved").read_text() == "hub/bridge:1 hub/pilot:1\n"
    assert sorted(path.name for path in Path(found["directory"]).iterdir()) == ["0.tar.gz", "1.tar.gz"]


def test_an_image_that_changed_meanwhile_is_told_and_nothing_stays(play, tmp_path):
    saves = {"saves": str(saved(tmp_path / "all.tar", bridge=BRIDGE))}
    found = play(image_archives, saves, hosts={"h1": lacking(WANTED, {}, ())})
    assert found["msg"] == "An image was built again meanwhile. Run the command again."
    assert list(tmp_path.glob("eduhub-images-*")) == []


def test_without_a_host_that_lacks_something_nothing_is_exported(play, tmp_path):
    found = play(image_archives, {}, hosts={"h1": {}, "h2": {}})
    assert (found["archives"], (tmp_path / "engine.json.saved").exists()) == ({}, False)
