"""Signs the file of a kit with an ssh key, and says who did; both with Debian's ssh-keygen.

The signature is a file of its own beside the kit, so that it is checked before anything of the kit is unpacked.
"""

from __future__ import annotations

from pathlib import Path

from builder import Refusal, signing
from module_utils import ssh_signature

# What is signed for one purpose is no signature for another.
NAMESPACE = "eduhub-rollout-kit"
path_of = signing.path_of


def sign(kit: Path, key: Path) -> Path:
    """Sign the file `kit` with the private `key`, or by the ssh agent that holds it; return the signature."""
    signing.sign([kit], key, NAMESPACE)
    return path_of(kit)


def signer(kit: Path, allowed: Path) -> str:
    """Return who of the file of `allowed` signers signed the file `kit`. Raise Refusal where none of them did."""
    if not allowed.is_file():
        raise Refusal(f"There is no file {allowed} of allowed signers: name one (man ssh-keygen, ALLOWED SIGNERS).")
    signature = path_of(kit)
    if not signature.is_file():
        raise Refusal(f"There is no signature {signature}: put it beside the kit, or get a kit made with --sign-key.")
    try:
        return ssh_signature.signer(kit, signature, allowed, NAMESPACE)
    except ssh_signature.NoProgramError as error:
        raise Refusal(str(error)) from None
    except ssh_signature.InvalidError as error:
        raise Refusal(
            f"{signature} is no signature of {kit} ({error}): copy both again, and do not use the kit if it stays so."
        ) from None
    except ssh_signature.UnknownSignerError as error:
        raise Refusal(
            f"{kit} is signed by a key that {allowed} does not allow ({error}): ask its maker, and do not use it."
        ) from None
