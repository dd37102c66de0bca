"""Who signed a file with an ssh key, asked of Debian's ssh-keygen. Python 3.9 and the standard library only."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class SignatureError(Exception):
    """A signature is not good; the text is ssh-keygen's own reason."""


class NoProgramError(SignatureError):
    """This machine has no ssh-keygen."""


class InvalidError(SignatureError):
    """It is no signature of this file, for this purpose."""


class UnknownSignerError(SignatureError):
    """It is a signature of this file, by a key that is not allowed."""


def signer(file: Path, signature: Path, allowed: Path, namespace: str) -> str:
    """Return who of the file of `allowed` signers signed `file` for the purpose `namespace`. Raises SignatureError.

    Who it was is the principal of the line in ALLOWED SIGNERS (man ssh-keygen) that has the key.
    """
    common = ["-n", namespace, "-s", str(signature)]
    checked = ssh_keygen("check-novalidate", *common, of=file)
    if checked.returncode:
        raise InvalidError(why(checked))
    last = found = ssh_keygen("find-principals", *common, "-f", str(allowed))
    for name in found.stdout.splitlines():
        last = ssh_keygen("verify", *common, "-f", str(allowed), "-I", name, of=file)
        if not last.returncode:
            return name
    raise UnknownSignerError(why(last))


def sign(files: Sequence[Path], key: Path, namespace: str) -> None:
    """Sign each of `files` for the purpose `namespace`, into a file .sig beside it. Raises SignatureError.

    `key` is a private key, or the public one of a key that ssh-agent holds.
    """
    done = ssh_keygen("sign", "-q", "-f", str(key), "-n", namespace, *map(str, files))
    if done.returncode:
        raise SignatureError(why(done))


def why(done: subprocess.CompletedProcess[str]) -> str:
    """Return ssh-keygen's own reason: the first line says it, the last that it failed."""
    return (done.stderr.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")


def ssh_keygen(*words: str, of: Path = Path("/dev/null")) -> subprocess.CompletedProcess[str]:
    """Run `ssh-keygen -Y words` with the file `of` as its input. Raises NoProgramError."""
    try:
        with of.open("rb") as file:
            return subprocess.run(
                ["ssh-keygen", "-Y", *words], stdin=file, capture_output=True, text=True, errors="replace", check=False
            )
    except FileNotFoundError as error:
        if error.filename != "ssh-keygen":
            raise
        raise NoProgramError("There is no ssh-keygen here: install openssh-client.") from None
