"""A job's credential at rest: encrypted with a key that both slots are given, or with one that dies with the process.

NaCl's secretbox (XSalsa20-Poly1305) by PyNaCl; the key is BLAKE2b of the file's content, so any text of at least 32
bytes will do. See docs/decisions/0005.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Optional

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox


class Seal:
    """Seals and opens. `name` tells which key it was, and nothing else about it."""

    def __init__(self, key: Optional[str]) -> None:
        material = key.encode() if key is not None else secrets.token_bytes(32)
        self._box = SecretBox(hashlib.blake2b(material, digest_size=32, person=b"eduhub-state").digest())
        self.name = hashlib.blake2b(material, digest_size=8, person=b"eduhub-name").hexdigest()

    def close(self, text: str) -> bytes:
        """Return `text`, sealed."""
        return bytes(self._box.encrypt(text.encode()))

    def open(self, sealed: Optional[bytes]) -> Optional[str]:
        """Return what was sealed; None if it was sealed with another key."""
        try:
            return bytes(self._box.decrypt(sealed)).decode() if sealed else None
        except CryptoError:
            return None
