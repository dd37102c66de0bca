"""Whom the bridge trusts for a Plone at an https address: on every Python the same."""

from __future__ import annotations

import ssl

# X509_V_FLAG_PARTIAL_CHAIN of OpenSSL, for which Python 3.9 has no name.
PARTIAL_CHAIN = 0x80000


def trusting(ca: str) -> ssl.SSLContext:
    """Return a client's context that trusts the certificates in `ca` (PEM) alone. Raises ssl.SSLError, ValueError.

    From 3.13 on Python's default also trusts an authority below a root, and refuses one whose certificate lacks what
    RFC 5280 asks for, such as a key usage: a release of another Python would lose a Plone that the other one reaches.
    """
    context = ssl.create_default_context(cadata=ca)
    context.verify_flags = ssl.VerifyFlags((context.verify_flags | PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT)
    return context
