"""Whose a request is, for its turn in a queue. Pure; asked only when a request has to wait.

What can be forged must not bring more turns. An address cannot be: the edge says it. A credential can: nothing here has
checked it, and a client may send another one with each request. So turns go to addresses, and credentials divide the
turns of one address among the people behind it, such as a university's.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Iterable, Tuple

from eduhub_bridge.upstream import headers

# The host itself has no share that it could take from others: what is measured or tried there is an operator's.
_OWN = frozenset({"127.0.0.1", "::1"})
_SALT = secrets.token_bytes(16)


def client(fields: Iterable[tuple[str, str]]) -> Tuple[str, str]:
    """Return the address of a request's client, empty for an unknown one, and a name for the credential it sends.

    The name means nothing outside this process.
    """
    told, credentials = [], []
    for name, value in fields:
        if name == "x-forwarded-for":
            told.append(value)
        elif name == "authorization":
            credentials.append(value)
        elif name == "cookie":
            credentials += [each.strip() for each in value.split(";") if each.strip().startswith("__ac")]
    address = headers.address(",".join(told))
    user = ""
    if credentials:
        user = hashlib.blake2b("\0".join(credentials).encode(), digest_size=8, key=_SALT).hexdigest()
    return "" if address in _OWN else address, user
