"""What goes into an image, as one hash: equal hashes mean that building again would change nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from docker.utils import exclude_paths

from builder import HERE, rootfs
from builder.catalogue import Image, Root

# Beside an image's own files, these decide what its first stage makes of a lock.
STAGE_RECIPE = ("base/install.py", "base/tools.txt")
# What is said of an image, and changes nothing in it.
NO_INPUTS = {"addons", "end_of_life", "home", "limit_mb", "lock", "on_request"}


def files(image: Image, directory: Path = HERE) -> list[Path]:
    """Return the files of `image`'s directory that are sent to the engine, its Dockerfile among them, in order."""
    home = directory / image.home
    patterns = directory.joinpath(".dockerignore").read_text(encoding="utf-8").splitlines()
    wanted = exclude_paths(str(home), [line for line in patterns if line and not line.startswith("#")])
    return sorted(path for path in (home / name for name in wanted) if path.is_file() or path.is_symlink())


def digest(image: Image, base: str, directory: Path = HERE) -> str:
    """Return the sha256 over all that goes into `image`; `base` stands for what it stands on ("" for nothing)."""
    paths = [] if image.root else [directory / name for name in STAGE_RECIPE]
    if is_built(image, directory):
        paths += files(image, directory)
        paths += [lock for lock in [directory / image.lock] if lock.exists()]
    facts = {
        "image": {name: value for name, value in asdict(image).items() if name not in NO_INPUTS},
        "root": root_digest(image.root, directory) if image.root else "",
        "base": base,
        # Where an inventory stands changes nothing.
        "files": {
            str(path.relative_to(directory)) if path.is_relative_to(directory) else path.name: _file(path)
            for path in paths
        },
    }
    return text_digest(json.dumps(facts, sort_keys=True))


def root_digest(root: Root, directory: Path = HERE) -> str:
    """Return the sha256 over all that decides what is in the root file system `root`."""
    words = rootfs.command(root, Path("slim"), Path(rootfs.ARCHIVE))
    return text_digest(json.dumps([words, _file(directory / "base" / "slim")]))


def text_digest(text: str) -> str:
    """Return the sha256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_built(image: Image, directory: Path = HERE) -> bool:
    """Whether `image` has a Dockerfile; without one it is its root file system and nothing else."""
    return (directory / image.home / "Dockerfile").exists()


def _file(path: Path) -> list[str]:
    """Return what of a file counts: whether it may be executed (all that git keeps of a mode), and its bytes."""
    if path.is_symlink():
        return ["link", str(path.readlink())]
    mode = "executable" if path.stat().st_mode & 0o100 else "plain"
    return [mode, hashlib.sha256(path.read_bytes()).hexdigest()]
