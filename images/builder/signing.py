"""Signs files with an ssh key of the operator's, or says in a sentence why it cannot."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder import Refusal
from module_utils import ssh_signature


def path_of(file: Path) -> Path:
    """Return where the signature of `file` is."""
    return file.with_name(f"{file.name}.sig")


def sign(files: Sequence[Path], key: Path, namespace: str) -> None:
    """Sign each of `files` for the purpose `namespace`. Raise Refusal where `key` cannot."""
    try:
        ssh_signature.sign(files, key, namespace)
    except ssh_signature.NoProgramError as error:
        raise Refusal(str(error)) from None
    except ssh_signature.SignatureError as error:
        raise Refusal(
            f"ssh-keygen cannot sign with {key} ({error}): name a private key without a passphrase, or the .pub file "
            "of one that ssh-agent holds."
        ) from None


def demand_key(key: Path) -> None:
    """Raise Refusal unless `key` can sign."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "trial")
        trial.touch()
        sign([trial], key, "eduhub-rollout-trial")
