"""Whether images are those that somebody signed a statement about. Python 3.9 and the standard library only.

A statement is a file in the form of in-toto (https://in-toto.io/Statement/v1) about one image, with a signature of
ssh-keygen beside it. It names the image by what is the same on every engine: time, layers and configuration.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import ssh_signature

NAMESPACE = "eduhub-rollout-image"
STATEMENT = "https://in-toto.io/Statement/v1"
# What `identity` in image_layers is called among the digests of a subject: it is no digest of one file.
DIGEST = "eduhubIdentity"
# Where statements are below a checkout, and where a kit brings them.
FOLDERS = ("provenance", "kit/provenance")


class UnreadableError(Exception):
    """A statement or its signature is there and cannot be read; the text is a sentence."""


def subject(name: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a statement is about: the `image`, as image_layers describes it, under its `name`."""
    return {
        "name": name,
        "digest": {DIGEST: image["identity"]},
        "annotations": {"layers": image["layers"], "healthcheck": image["healthcheck"]},
    }


def file_of(name: str) -> str:
    """Return the name of the file with the statement about the image `name`."""
    return f"{name.removeprefix('eduhub/').replace('/', '-').replace(':', '-')}.json"


def found(checkout: Path, name: str) -> tuple[Path, Path] | None:
    """Return the files of the statement about the image `name` and of its signature, None unless both are there."""
    for folder in FOLDERS:
        file = checkout / folder / file_of(name)
        beside = file.with_name(f"{file.name}.sig")
        if file.is_file() and beside.is_file():
            return file, beside
    return None


def read(checkout: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the `file`, `statement` and `signature` of each image that has them below `checkout`, by its name.

    Raises UnreadableError for files that cannot be read.
    """
    papers = {}
    for name in names:
        try:
            if pair := found(checkout, name):
                statement, signature = (path.read_text(encoding="utf-8") for path in pair)
                told = {"file": str(pair[0].relative_to(checkout)), "statement": statement, "signature": signature}
                papers[name] = told
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableError(
                f"What was signed about {name} cannot be read ({error}): make it readable, or get both files again."
            ) from None
    return papers


def judged(name: str, image: Mapping[str, Any], paper: Mapping[str, str], allowed: Path) -> tuple[str, str]:
    """Return who of the file of `allowed` signers signed the `image`, and what speaks against it, "" for nothing.

    `paper` is what `read` returned for it.
    """
    file = paper["file"]
    with tempfile.TemporaryDirectory() as folder:
        statement, signature = Path(folder, "statement"), Path(folder, "signature")
        statement.write_text(paper["statement"], encoding="utf-8")
        signature.write_text(paper["signature"], encoding="utf-8")
        try:
            who = ssh_signature.signer(statement, signature, allowed, NAMESPACE)
        except ssh_signature.NoProgramError as error:
            return "", f"The signature of {name} cannot be checked. {error}"
        except ssh_signature.InvalidError as error:
            return "", f"{file}.sig is no signature of {file} ({error}): get both again from who built {name}."
        except ssh_signature.UnknownSignerError as error:
            return "", (
                f"{file} is signed by a key that docker_host_image_signers does not allow ({error}): allow its owner, "
                f"or get {name} signed by one who is."
            )
    differs = difference(name, image, paper["statement"])
    return who, (
        f"{name} ({image['id'][:19]}) is not the image that {who} signed in {file}, {differs}: get the image that was "
        "signed, or build it again and sign it."
        if differs else ""
    )  # fmt: skip


def difference(name: str, image: Mapping[str, Any], statement: str) -> str:
    """Return in which way `image` is another one than a signed `statement` says; "" where it is that one."""
    try:
        told = json.loads(statement)
        (signed,) = told["subject"]
        identity, layers = signed["digest"][DIGEST], signed["annotations"]["layers"]
        healthcheck = dict(signed["annotations"]["healthcheck"])
        kind, about = told["_type"], signed["name"]
    except (KeyError, TypeError, ValueError):
        return "which is no statement about one image"
    if (kind, about) != (STATEMENT, name):
        return f"which is about {about}"
    if layers != image["layers"]:
        return "its layers are others"
    # Of a health check, an older engine does not tell what it does not know.
    if any(healthcheck.get(key) != value for key, value in image["healthcheck"].items()):
        return "its health check is another one"
    return "" if identity == image["identity"] else "its configuration, or the time that it was made, is another one"
