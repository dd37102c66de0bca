"""Who signed a file with an ssh key, asked of Debian's ssh-keygen. Python 3.9 and the standard library only."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# As long as a person may take for each signature: a token is touched, or an agent asks for a confirmation.
SECONDS = 60


class SignatureError(Exception):
    """A signature is not good; the text is ssh-keygen's own reason."""


class NoProgramError(SignatureError):
    """This machine has no ssh-keygen that can do it."""


class InvalidError(SignatureError):
    """It is no signature of this file, for this purpose."""


class UnknownSignerError(SignatureError):
    """It is a signature of this file, by a key that is not allowed."""


def signer(file: Path, signature: Path, allowed: Path, namespace: str) -> str:
    """Return who of the file of `allowed` signers signed `file` for the purpose `namespace`. Raises SignatureError.

    Who it was is the principal of the line in ALLOWED SIGNERS (man ssh-keygen) that has the key. Each line is asked by
    itself: of several with one key, ssh-keygen finds only the first, which may be for another purpose.
    """
    common = ["-n", namespace, "-s", str(signature)]
    checked = ssh_keygen("check-novalidate", *common, of=file)
    if checked.returncode:
        raise InvalidError(why(checked))
    reason = ""
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder, "allowed")
        for text in allowed.read_text(encoding="utf-8").splitlines():
            line.write_text(f"{text}\n", encoding="utf-8")
            for name in ssh_keygen("find-principals", *common, "-f", str(line)).stdout.splitlines():
                last = ssh_keygen("verify", *common, "-f", str(line), "-I", name, of=file)
                if not last.returncode:
                    return name
                reason = why(last).removeprefix(f"{line}:1: ")
    raise UnknownSignerError(reason or why(ssh_keygen("find-principals", *common, "-f", str(allowed))))


def sign(files: Sequence[Path], key: Path, namespace: str) -> None:
    """Sign each of `files` for the purpose `namespace`, into a file .sig beside it. Raises SignatureError.

    `key` is a private key, or the public one of a key that ssh-agent holds.
    """
    done = ssh_keygen("sign", "-q", "-f", str(key), "-n", namespace, *map(str, files), seconds=SECONDS * len(files))
    if done.returncode:
        raise SignatureError(why(done))


def why(done: subprocess.CompletedProcess[str]) -> str:
    """Return ssh-keygen's own reason: the first line says it, the last that it failed."""
    return (done.stderr.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")


def ssh_keygen(*words: str, of: Path = Path("/dev/null"), seconds: int = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run `ssh-keygen -Y words` with the file `of` as its input. Raises NoProgramError, also after `seconds`."""
    try:
        with of.open("rb") as file:
            done = subprocess.run(
                ["ssh-keygen", "-Y", *words],
                stdin=file, capture_output=True, text=True, errors="replace", check=False, timeout=seconds,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NoProgramError(
            f"ssh-keygen did not end within {seconds} s: touch the token, or confirm what ssh-agent asks, and type the "
            "command again."
        ) from None
    except FileNotFoundError as error:
        if error.filename != "ssh-keygen":
            raise
        raise NoProgramError("There is no ssh-keygen here: install openssh-client.") from None
    # Before 8.1 it has no -Y, and in 8.1 not all of it.
    if any(sign in done.stderr for sign in ("option -- Y", "option -- 'Y'", "Unsupported operation for -Y")):
        raise NoProgramError("The ssh-keygen here is too old for signatures: install openssh-client 8.2 or newer.")
    return done
