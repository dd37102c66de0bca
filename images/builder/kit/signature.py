"""Signs the file of a kit with an ssh key, and says who did; both with Debian's ssh-keygen.

The signature is a file of its own beside the kit, so that it is checked before anything of the kit is unpacked.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from builder import Refusal

# What is signed for one purpose is no signature for another.
NAMESPACE = "eduhub-rollout-kit"


def path_of(kit: Path) -> Path:
    """Return where the signature of the file `kit` is."""
    return kit.with_name(f"{kit.name}.sig")


def sign(kit: Path, key: Path) -> Path:
    """Sign the file `kit` with the private `key`, or by the ssh agent that holds it; return the signature."""
    done = _ssh_keygen("sign", "-q", "-f", str(key), "-n", NAMESPACE, str(kit))
    if done.returncode:
        raise Refusal(
            f"ssh-keygen cannot sign with {key} ({_why(done)}): name a private key without a passphrase, or the .pub "
            "file of one that ssh-agent holds, with --sign-key."
        )
    return path_of(kit)


def demand_key(key: Path) -> None:
    """Raise Refusal unless `key` can sign."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "trial")
        trial.touch()
        sign(trial, key)


def signer(kit: Path, allowed: Path) -> str:
    """Return who of the file of `allowed` signers signed the file `kit`. Raise Refusal where none of them did."""
    if not allowed.is_file():
        raise Refusal(f"There is no file {allowed} of allowed signers: name one (man ssh-keygen, ALLOWED SIGNERS).")
    signature = path_of(kit)
    if not signature.is_file():
        raise Refusal(f"There is no signature {signature}: put it beside the kit, or get a kit made with --sign-key.")
    common = ["-n", NAMESPACE, "-s", str(signature)]
    checked = _ssh_keygen("check-novalidate", *common, of=kit)
    if checked.returncode:
        raise Refusal(
            f"{signature} is no signature of {kit} ({_why(checked)}): copy both again, and do not use the kit if it "
            "stays so."
        )
    last = found = _ssh_keygen("find-principals", *common, "-f", str(allowed))
    for name in found.stdout.splitlines():
        last = _ssh_keygen("verify", *common, "-f", str(allowed), "-I", name, of=kit)
        if not last.returncode:
            return name
    raise Refusal(
        f"{kit} is signed by a key that {allowed} does not allow ({_why(last)}): ask its maker, and do not use it."
    )


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """Return ssh-keygen's own reason: the first line says it, the last that it failed."""
    return (done.stderr.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")


def _ssh_keygen(*words: str, of: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        with (of or Path("/dev/null")).open("rb") as file:
            return subprocess.run(
                ["ssh-keygen", "-Y", *words], stdin=file, capture_output=True, text=True, errors="replace", check=False
            )
    except FileNotFoundError as error:
        if error.filename != "ssh-keygen":
            raise
        raise Refusal("There is no ssh-keygen here, which checks signatures: install openssh-client.") from None
