"""A job's credential at rest: encrypted with a key that both slots are given, or with one that dies with the process.

libsodium's XChaCha20-Poly1305 by PyNaCl, with the job's id as associated data: what was sealed for one job opens for no
other, even where the store was changed by hand. The key is BLAKE2b of the file's content, so any text of at least 32
bytes will do. See docs/decisions/0005.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Optional

from nacl.exceptions import CryptoError
from nacl.secret import Aead, SecretBox


class Seal:
    """Seals and opens.

    `name` tells which key and form it was, and nothing else about it; `names` are all that can be opened, also those of
    jobs that a bridge of version 0.1.0 has sealed, with no job named.
    """

    def __init__(self, key: Optional[str]) -> None:
        material = key.encode() if key is not None else secrets.token_bytes(32)
        self._box = Aead(hashlib.blake2b(material, digest_size=32, person=b"eduhub-job").digest())
        self._unbound = SecretBox(hashlib.blake2b(material, digest_size=32, person=b"eduhub-state").digest())
        self.name = hashlib.blake2b(material, digest_size=8, person=b"eduhub-job-name").hexdigest()
        self._unbound_name = hashlib.blake2b(material, digest_size=8, person=b"eduhub-name").hexdigest()
        self.names = (self.name, self._unbound_name)

    def close(self, text: str, job: str) -> bytes:
        """Return `text`, sealed for the job with this id."""
        return bytes(self._box.encrypt(text.encode(), job.encode()))

    def open(self, sealed: Optional[bytes], job: str, name: str) -> Optional[str]:
        """Return what was sealed for this job under this name; None if it was not, or with another key."""
        if not sealed:
            return None
        try:
            if name == self._unbound_name:
                return bytes(self._unbound.decrypt(sealed)).decode()
            return bytes(self._box.decrypt(sealed, job.encode())).decode()
        except (CryptoError, ValueError):
            return None
