"""Reads a kit that is unpacked. Only the standard library: this runs before there is a .venv.

The manifest names every file with its size and SHA-256. What is taken is compared with it first: that finds damage and
mixed-up kits. Who made the kit is told by the signature of its file, before that is unpacked. A file that an older kit
has already is taken from there, which is unpacked beside this one.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from builder import Refusal

MANIFEST = "kit/manifest.json"
SCHEMA = 1
IMAGES, WHEELS, DEBIAN, SBOM = "kit/images", "kit/wheels", "kit/debian", "kit/sbom"
# What apt reads beside packages.
INDEX = "Packages"
AGAIN = "copy the kit again and unpack it anew"


@dataclass(frozen=True)
class Manifest:
    """What a kit says of itself.

    `files`: by path, `bytes` and `sha256`, and `from`, the name of the older kit that has it, if any.
    `images`: by tag, `inputs` (of ours), `config` and `layers` (paths, and the layers' diff ids), `given` base.
    """

    name: str
    version: str
    commit: str
    made: str
    machine: str
    pythons: tuple[str, ...]
    suites: tuple[str, ...]
    images: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, Any]]
    schema: int = SCHEMA

    @property
    def needs(self) -> list[str]:
        """The older kits that have files of this one."""
        return sorted({file["from"] for file in self.files.values() if "from" in file})

    @property
    def own(self) -> list[str]:
        """The paths of the files that are in this kit, in the order of its archive."""
        return [path for path, file in self.files.items() if "from" not in file]

    @classmethod
    def parsed(cls, text: bytes, where: str) -> Manifest:
        """Return the manifest in `text`. Raise Refusal, naming `where` it is, for what is none of ours."""
        try:
            told = json.loads(text)
            if told["schema"] != SCHEMA:
                raise Refusal(f"{where} has form {told['schema']}, and this toolkit reads {SCHEMA}: use its own.")
            lists = {name: tuple(told[name]) for name in ("pythons", "suites")}
            return cls(**{**told, **lists})
        except (KeyError, TypeError, ValueError):
            raise Refusal(f"{where} is no manifest of a kit, or was cut: {AGAIN}.") from None


@dataclass(frozen=True)
class Kit:
    """A kit unpacked in `root`, the checkout."""

    root: Path
    manifest: Manifest

    @classmethod
    def at(cls, root: Path) -> Kit | None:
        """Return the kit in the checkout `root`, None where it is none. Raise Refusal where it cannot be used here."""
        path = root / MANIFEST
        if not path.parent.is_dir():
            return None
        if not path.exists():
            raise Refusal(f"{path} is missing: {AGAIN}.")
        kit = cls(root, Manifest.parsed(path.read_bytes(), str(path)))
        if platform.machine() != kit.manifest.machine:
            raise Refusal(
                f"The kit {kit.manifest.name} is for {kit.manifest.machine}, and this machine is {platform.machine()}: "
                "make a kit on such a machine."
            )
        return kit

    def path(self, name: str) -> Path:
        """Return where the file `name` is, here or in the older kit beside this one, unchecked."""
        older = self.manifest.files[name].get("from")
        return (self.root.resolve().parent / older if older else self.root) / name

    def checked(self, name: str) -> bytes:
        """Return what is in the file `name`. Raise Refusal where it is missing or is not the one in the manifest."""
        if name not in self.manifest.files:
            raise Refusal(f"{name} is not in the manifest of the kit {self.manifest.name}: {AGAIN}.")
        path = self.path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise Refusal(self._missing(name, path)) from None
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name]["sha256"]:
            raise Refusal(f"{path} is not the file that the kit was made with: {AGAIN}.")
        return content

    def _missing(self, name: str, path: Path) -> str:
        older = self.manifest.files[name].get("from")
        if older and not path.parents[name.count("/")].is_dir():
            return f"The kit {self.manifest.name} needs {older} beside it: unpack that in {self.root.resolve().parent}."
        return f"{path} is missing: {AGAIN}."

    def below(self, directory: str) -> Iterator[str]:
        """Yield the names of the files below `directory`."""
        return (name for name in self.manifest.files if name.startswith(f"{directory}/"))

    def archive(self, tag: str, into: IO[bytes]) -> None:
        """Write the image `tag`, each of its files checked, to `into` as `docker load` reads it."""
        image = self.manifest.images[tag]
        layers = [Path(name).name for name in image["layers"]]
        told = {"Config": Path(image["config"]).name, "RepoTags": [tag], "Layers": layers}
        with tarfile.open(fileobj=into, mode="w") as archive:
            _add(archive, "manifest.json", json.dumps([told]).encode())
            for name in dict.fromkeys([image["config"], *image["layers"]]):
                _add(archive, Path(name).name, self.checked(name))


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def ended(name: str, program: Callable[[Sequence[str]], str], words: Sequence[str]) -> int:
    """Print what `program` returns; return 0, or 2 with one sentence on stderr that begins with `name`."""
    try:
        if text := program(words):
            print(text)
    except Refusal as refusal:
        print(f"{name}: {refusal}", file=sys.stderr)
    except OSError as error:
        print(f"{name}: {error.filename or 'a file'}: {error.strerror}.", file=sys.stderr)
    else:
        return 0
    return 2
