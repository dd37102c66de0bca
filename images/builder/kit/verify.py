"""`python -m builder.kit.verify [--kit FILE|DIRECTORY] [--allowed-signers FILE]`: is a kit whole, and who signed it?

With `--first`, what `./invoke` asks before there is a .venv: whether the kit can be used here, with which wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder import HERE, Refusal
from builder.kit import signature
from builder.kit.unpacked import AGAIN, MANIFEST, SIGNATURE, WHEELS, Kit, Manifest, ended

# Inventories are the operator's; what else a checkout in use has is in this file.
IGNORED = ".gitignore"


def main(words: Sequence[str]) -> str:
    """Return the sentence about the kit that `words` name. Raise Refusal for what must not be used."""
    parser = argparse.ArgumentParser(prog="kit.verify", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kit", type=Path, default=HERE.parent)
    parser.add_argument("--allowed-signers", default=os.environ.get("EDUHUB_KIT_SIGNERS", ""))
    parser.add_argument("--first", choices=["signature", "wheels"])
    wanted = parser.parse_args(words)
    if wanted.first:
        return first(wanted.kit, wanted.allowed_signers, wheels=wanted.first == "wheels")
    if wanted.kit.is_dir():
        kit = Kit.at(wanted.kit)
        if kit is None:
            raise Refusal(f"{wanted.kit} is no kit that was unpacked: name one with --kit.")
        manifest, signed = kit.manifest, signed_by(kit, wanted.allowed_signers)
        for name in manifest.files:
            kit.checked(name)
        if more := added(kit):
            raise Refusal(f"{more[0]} is not in the manifest of the kit {manifest.name}: remove it, or {AGAIN}.")
    else:
        manifest, signed = of_archive(wanted.kit, wanted.allowed_signers)
    who = f"signed by {signed}" if signed else "whose signature was not asked for (--allowed-signers)"
    beside = f" It needs {' and '.join(manifest.needs)} beside it." if manifest.needs else ""
    return f"The kit {manifest.name} is whole: {len(manifest.files)} files, {who}.{beside}"


def signed_by(kit: Kit, allowed: str) -> str:
    """Return who signed an unpacked kit, "" where no file of allowed signers is named. Raise Refusal as `signer`."""
    if not allowed:
        return ""
    path = kit.root / SIGNATURE
    manifest = (kit.root / MANIFEST).read_bytes()
    return signature.signer(manifest, path.read_bytes() if path.exists() else None, Path(allowed), kit.manifest.name)


def added(kit: Kit) -> list[str]:
    """Return the paths of files that the kit did not bring, and that neither `./invoke` nor an operator makes."""
    lines = kit.checked(IGNORED).decode().splitlines()
    made_here = {"inventories", *(line.rstrip("/") for line in lines)}
    names = {str(path.relative_to(kit.root)) for path in kit.root.rglob("*") if path.is_file()}
    known = {MANIFEST, SIGNATURE, *kit.manifest.files}
    return sorted(name for name in names - known if not made_here & set(Path(name).parts))


def first(root: Path, allowed: str, *, wheels: bool) -> str:
    """Return pip's options for the wheels of the kit in `root`, one a line, each wheel checked; "" without `wheels`."""
    kit = Kit.at(root)
    if kit is None:
        return ""
    signed_by(kit, allowed)
    if not wheels:
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


def of_archive(file: Path, allowed: str) -> tuple[Manifest, str]:
    """Return manifest and signer of the kit `file`, with each file in it compared. Raise Refusal where one differs."""
    try:
        with tarfile.open(file, "r|") as archive:
            return _compared(archive, file, allowed)
    except FileNotFoundError:
        raise Refusal(f"There is no file {file}: name a kit with --kit.") from None
    except (tarfile.TarError, EOFError):
        raise Refusal(f"{file} is no whole kit, it was cut or changed: copy it again.") from None


def _compared(archive: tarfile.TarFile, file: Path, allowed: str) -> tuple[Manifest, str]:
    members = _files(archive)
    path, text = next(members, ("", b""))
    if path != MANIFEST:
        raise Refusal(f"{file} is no kit: it does not begin with a manifest.")
    manifest, signed, seen = Manifest.parsed(text, f"The manifest of {file}"), None, set()
    for path, content in members:
        if path == SIGNATURE:
            signed = content
        elif path in manifest.files:
            seen.add(path)
            if hashlib.sha256(content).hexdigest() != manifest.files[path]["sha256"]:
                raise Refusal(f"{path} in {file} is not the file that the kit was made with: copy it again.")
        elif not path.startswith("inventories/"):
            raise Refusal(f"{path} in {file} is not in its manifest: the kit was changed; do not use it.")
    if missing := [name for name in manifest.own if name not in seen]:
        raise Refusal(f"{file} was cut: it lacks {missing[0]} and {len(missing) - 1} more files; copy it again.")
    who = signature.signer(text, signed, Path(allowed), manifest.name) if allowed else ""
    return manifest, who


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield path, below the kit's directory, and content of each file."""
    for member in archive:
        content = archive.extractfile(member)
        if content:
            yield member.name.partition("/")[2], content.read()


if __name__ == "__main__":
    sys.exit(ended("kit.verify", main, sys.argv[1:]))
