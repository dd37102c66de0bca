"""Which layers of an image a host lacks, and the archive that brings them. Python 3.9 and the standard library only.

An engine keeps a layer under its chain id, which names it together with all layers below it. When it loads an archive
it does not open the file of a layer whose chain it has: it may be left out. containerd's image store wants them all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# What a container gets from its image's configuration. Health checks and the like are Docker's own: containerd's image
# store may not tell them.
CONFIGURED = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir",
)  # fmt: skip
# At the end of the name of the image that had a name before another one got it.
BEFORE = "-before"
# What an engine from 27.2 on says of an image whose layers it could not unpack, and calls the load a success.
NOT_UNPACKED = re.compile(r"^Error unpacking image .*", re.MULTILINE)
# What engines say of an image that does not tell when it was made.
NEVER = "0001-01-01"
# Level 1 takes a third of the time of level 6, and leaves a tenth more bytes.
LEVEL = 1


def identity(created: str, layers: Sequence[str], config: Mapping[str, Any]) -> str:
    """Return what is the same for one image on every engine; its id differs with containerd's image store.

    `created` counts to the second: engines write its fraction with and without zeros at its end.
    """
    when = "" if created.startswith(NEVER) else created[:19]
    told = [when, list(layers), {name: config.get(name) or None for name in CONFIGURED}]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def described(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an image is, from its document of `docker image inspect`: id, identity, layers, Python, health check,
    and the architecture that it is for, "" where that is not said.

    An engine that does not tell an image's health check does not run it.
    """
    config, layers = inspected.get("Config") or {}, inspected["RootFS"].get("Layers") or []
    return {
        "id": inspected["Id"],
        "identity": identity(inspected.get("Created") or "", layers, config),
        "layers": layers,
        "python": (config.get("Labels") or {}).get("org.eduhub.python"),
        "healthcheck": config.get("Healthcheck") or {},
        "architecture": inspected.get("Architecture") or "",
    }


def chains(layers: Iterable[str]) -> Iterator[str]:
    """Yield the chain id of each of an image's `layers`, which are diff ids from the lowest up."""
    chain = ""
    for layer in layers:
        chain = "sha256:" + hashlib.sha256(f"{chain} {layer}".encode()).hexdigest() if chain else layer
        yield chain


def lacking(
    wanted: Mapping[str, Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]], known: Iterable[Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return those of `wanted` that are not the same image in `there`, by name: identity, layers, and `missing` ones.

    `known`: the layers of each image on the host; none where the engine wants every layer in an archive.
    """
    have = {chain for layers in known for chain in chains(layers)}
    return {
        name: {
            "identity": image["identity"],
            "layers": image["layers"],
            "missing": [layer for layer, chain in zip(image["layers"], chains(image["layers"])) if chain not in have],
        }
        for name, image in wanted.items()
        if name not in there or there[name]["identity"] != image["identity"]
    }


def write(exported: Path, lacking: Mapping[str, Mapping[str, Any]], path: Path, whole: bool = False) -> dict[str, Any]:
    """Write an archive for `docker load` to `path`: the images in `lacking`, and of their layers the missing ones.

    `exported` is an archive of `docker save` that holds the images; `whole` takes all of their layers. Returns the
    `bytes` that each image adds, by name; a layer of several images is the first one's. Raises KeyError for an image
    that was not exported.
    """
    with tarfile.open(exported) as source, path.open("wb") as raw:
        images = images_in(source)
        chosen = {name: images[image["identity"]] for name, image in lacking.items()}
        ends = [0]
        with gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            # Two names may be of one image.
            manifest = list({image["Config"]: image for image in chosen.values()}.values())
            told = json.dumps([_renamed(image) for image in manifest])
            _add(archive, "manifest.json", io.BytesIO(told.encode()))
            for name, image in chosen.items():
                _add_image(archive, source, image, lacking[name]["layers" if whole else "missing"])
                ends.append(raw.tell())
        ends[-1] = raw.tell()
    return {name: {"bytes": end - start} for name, start, end in zip(lacking, ends, ends[1:])}


def images_in(source: tarfile.TarFile) -> dict[str, dict[str, Any]]:
    """Return the images of an archive by their identities: entries of its manifest, with `diff_ids` and `config`."""
    found = {}
    for image in json.load(_open(source, "manifest.json")):
        config = _open(source, image["Config"]).read()
        known = json.loads(config)
        layers = known["rootfs"]["diff_ids"]
        key = identity(known.get("created") or "", layers, known.get("config") or {})
        found[key] = {**image, "config": config, "diff_ids": layers}
    return found


def described_in(source: tarfile.TarFile, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return those of the images `wanted` that an archive of `docker save` holds, described as they are in it."""
    images = images_in(source)
    found = {name: images[image["identity"]] for name, image in wanted.items() if image["identity"] in images}
    return {name: _as_inspected(image) for name, image in found.items()}


def _as_inspected(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of an entry of `images_in`, by its own configuration."""
    known = json.loads(image["config"])
    return described({
        "Id": f"sha256:{hashlib.sha256(image['config']).hexdigest()}", "Created": known.get("created"),
        "RootFS": {"Layers": image["diff_ids"]}, "Config": known.get("config"),
    })  # fmt: skip


def _renamed(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of the manifest; layers are named by what is in them, so that images share them."""
    layers = [layer_file(diff_id) for diff_id in image["diff_ids"]]
    return {**{key: image[key] for key in ("Config", "RepoTags")}, "Layers": layers}


def layer_file(diff_id: str) -> str:
    """Return the name of a layer's file in an archive, by what is in it: images share it."""
    return f"{diff_id.rpartition(':')[2]}.tar"


def _add_image(
    archive: tarfile.TarFile, source: tarfile.TarFile, image: Mapping[str, Any], layers: Sequence[str]
) -> None:
    """Add an image's configuration and `layers`, unless another image brought them."""
    written = set(archive.getnames())
    if image["Config"] not in written:
        _add(archive, image["Config"], io.BytesIO(image["config"]))
    for diff_id, member in zip(image["diff_ids"], image["Layers"]):
        if diff_id in layers and layer_file(diff_id) not in written:
            written.add(layer_file(diff_id))
            _add(archive, layer_file(diff_id), _open(source, member))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    archive.addfile(info, content)


def _open(source: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file in an archive; a link, which a repeated layer is, is followed."""
    content = source.extractfile(name)
    if content is None:
        raise KeyError(name)
    return content
