"""Signs a kit's manifest with an ssh key, and checks the signature; both with Debian's ssh-keygen."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from builder import Refusal

# What is signed for one purpose is no signature for another.
NAMESPACE = "eduhub-rollout-kit"


def sign(manifest: Path, key: Path) -> Path:
    """Sign the file `manifest` with the private `key`, or by the ssh agent that holds it; return the signature."""
    done = _ssh_keygen(["sign", "-q", "-f", str(key), "-n", NAMESPACE, str(manifest)], b"")
    if done.returncode:
        why = (done.stderr.decode().strip().splitlines() or ["no reason given"])[-1].rstrip(".")
        raise Refusal(
            f"ssh-keygen cannot sign with {key} ({why}): name a private key without a passphrase, or the .pub file of "
            "one that ssh-agent holds."
        )
    return manifest.with_name(f"{manifest.name}.sig")


def signer(manifest: bytes, signature: bytes | None, allowed: Path, kit: str) -> str:
    """Return who of the file of `allowed` signers signed the `manifest`. Raise Refusal where that is none of them."""
    if not allowed.is_file():
        raise Refusal(f"There is no file {allowed} of allowed signers: name one (man ssh-keygen, ALLOWED SIGNERS).")
    if signature is None:
        raise Refusal(f"The kit {kit} is not signed, and {allowed} says who may sign it: get one made with --sign-key.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "signature")
        file.write_bytes(signature)
        common = ["-n", NAMESPACE, "-s", str(file), "-f", str(allowed)]
        found = _ssh_keygen(["find-principals", *common], b"")
        for name in found.stdout.decode().splitlines():
            if not _ssh_keygen(["verify", *common, "-I", name], manifest).returncode:
                return name
    if found.returncode or not found.stdout.strip():
        raise Refusal(f"The kit {kit} is signed by a key that is not in {allowed}: ask its maker, and do not use it.")
    raise Refusal(f"The signature of the kit {kit} is of another manifest: it was changed; do not use it.")


def _ssh_keygen(words: list[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", "-Y", *words], input=text, capture_output=True, check=False)
    except FileNotFoundError:
        raise Refusal(
            "There is no ssh-keygen here, which checks signatures: install openssh-client. A kit has it: "
            "PYTHONPATH=images python3 -m builder.kit.packages --install openssh-client"
        ) from None
