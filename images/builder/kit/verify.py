"""`python -m builder.kit.verify [--kit FILE|DIRECTORY] [--allowed-signers FILE]`: is a kit whole, and who signed it?

A file is asked for its signature too. In a directory nothing but damage is found: what is there runs already.
With `--wheels`, what `./invoke` asks before there is a .venv: whether the kit can be used here, with which wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder import HERE, Refusal
from builder.kit import signature
from builder.kit.unpacked import MANIFEST, WHEELS, Kit, Manifest, ended


def main(words: Sequence[str]) -> str:
    """Return the sentence about the kit that `words` name. Raise Refusal for what must not be used."""
    parser = argparse.ArgumentParser(prog="kit.verify", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kit", type=Path, default=HERE.parent)
    parser.add_argument("--allowed-signers", type=Path)
    parser.add_argument("--wheels", action="store_true")
    wanted = parser.parse_args(words)
    if wanted.wheels:
        return wheels(wanted.kit)
    if wanted.kit.is_dir():
        if wanted.allowed_signers:
            raise Refusal("The signature is of the file of a kit, not of a directory: name the file with --kit.")
        manifest = of_directory(wanted.kit)
        return f"The kit {manifest.name} is whole: {len(manifest.files)} files.{_beside(manifest)}"
    # First, as nothing of a file that somebody else made is to be read.
    signed = signature.signer(wanted.kit, wanted.allowed_signers) if wanted.allowed_signers else ""
    manifest = of_archive(wanted.kit)
    who = f"signed by {signed}" if signed else "whose signature was not asked for (--allowed-signers)"
    return f"The kit {manifest.name} is whole: {len(manifest.own)} files, {who}.{_beside(manifest)}"


def _beside(manifest: Manifest) -> str:
    return f" It needs {' and '.join(manifest.needs)} beside it." if manifest.needs else ""


def unpacked(root: Path) -> Kit:
    """Return the kit in the directory `root`. Raise Refusal where it is none."""
    kit = Kit.at(root)
    if kit is None:
        raise Refusal(f"{root} is no kit that was unpacked: name the file or the directory of one.")
    return kit


def of_directory(root: Path) -> Manifest:
    """Return the manifest of the kit unpacked in `root`, its files compared. Raise Refusal where one differs."""
    kit = unpacked(root)
    for name in kit.manifest.files:
        kit.checked(name)
    return kit.manifest


def wheels(root: Path) -> str:
    """Return pip's options for the wheels of the kit in `root`, one a line, each wheel checked; "" if it is no kit."""
    kit = Kit.at(root)
    if kit is None:
        return ""
    python = ".".join(map(str, sys.version_info[:2]))
    if python not in kit.manifest.pythons:
        raise Refusal(
            f"The kit's wheels are for Python {', '.join(kit.manifest.pythons)}, and this is {python}: name another "
            "with EDUHUB_PYTHON, or make a kit with --suite for this machine's Debian."
        )
    names = list(kit.below(WHEELS))
    for name in names:
        kit.checked(name)
    places = dict.fromkeys(str(kit.path(name).parent) for name in names)
    return "\n".join(["--no-index", *(f"--find-links={place}" for place in places)])


def of_archive(file: Path) -> Manifest:
    """Return the manifest of the kit `file`, each file in it compared. Raise Refusal where one differs."""
    try:
        with tarfile.open(file, "r|") as archive:
            return _compared(archive, file)
    except FileNotFoundError:
        raise Refusal(f"There is no file {file}: name a kit with --kit.") from None
    except (tarfile.TarError, EOFError):
        raise Refusal(f"{file} is no whole kit, it was cut or changed: copy it again.") from None


def _compared(archive: tarfile.TarFile, file: Path) -> Manifest:
    members = _files(archive, file)
    path, text = next(members, ("", b""))
    top, _, name = path.partition("/")
    if name != MANIFEST:
        raise Refusal(f"{file} is no kit: it does not begin with a manifest.")
    manifest = Manifest.parsed(text, f"The manifest of {file}")
    missing = dict.fromkeys(manifest.own)
    for path, content in members:
        name = path.removeprefix(f"{manifest.name}/")
        if top != manifest.name or name == path or (name not in missing and not name.startswith("inventories/")):
            raise Refusal(f"{path} in {file} is not in its manifest: the kit was changed; do not use it.")
        if name in missing:
            del missing[name]
            if hashlib.sha256(content).hexdigest() != manifest.files[name]["sha256"]:
                raise Refusal(f"{name} in {file} is not the file that the kit was made with: copy it again.")
    if missing:
        first = next(iter(missing))
        raise Refusal(f"{file} was cut: it lacks {first} and {len(missing) - 1} more files; copy it again.")
    return manifest


def _files(archive: tarfile.TarFile, file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each member. Raise Refusal for one that no kit has: `tar` may put it elsewhere."""
    seen = set()
    for member in archive:
        is_plain = member.type == tarfile.REGTYPE and member.sparse is None
        if not is_plain or {"", ".", ".."} & set(member.name.split("/")) or member.name in seen:
            raise Refusal(f"{member.name} in {file} is no file of a kit: the kit was changed; do not use it.")
        seen.add(member.name)
        content = archive.extractfile(member)
        yield member.name, content.read() if content else b""


if __name__ == "__main__":
    sys.exit(ended("kit.verify", main, sys.argv[1:]))
