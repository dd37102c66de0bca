"""Names in a query or a form with which Zope goes on from the path it was asked for. Pure functions.

A name that ends in `:method` (or `:action`, `:default_method`, `:default_action`) is appended to the path, or the value
if the name is nothing else; then Zope resolves `..` once more, and reads what names virtual hosting. So such a name is
another part of the address. Source: ZPublisher.HTTPRequest, processInputs; Plone's older forms name their buttons so.
"""

from __future__ import annotations

import re
from typing import Iterator
from urllib.parse import unquote_to_bytes

_DIRECTIVE = re.compile(rb":(?:default_)?(?:method|action)(?![-a-zA-Z0-9_])")
# Where an image was clicked.
_CLICKED = (b"", b".x", b".y")
_LEAVES = re.compile(rb"^/|(?:^|[/:])\.\.(?:[/:]|$)|VirtualHost|_vh_|\+\+vh\+\+")
_LONGEST = 4096
REASON = (
    "The name of a form's field ends in ':method' or the like, and would lead elsewhere than the address: '..', a '/' "
    "at the beginning and names of virtual hosting are passed on in no spelling."
)


def named(query: bytes) -> bool:
    """Return whether a query or an urlencoded form has such a name."""
    return _may_name(query) and any(_DIRECTIVE.search(name) for name, _ in _pairs(query))


def leaves(query: bytes) -> bool:
    """Return whether such a name of a query or an urlencoded form is a trick: it leaves the address."""
    return _may_name(query) and any(_leaves(name, value) for name, value in _pairs(query))


def in_head(head: bytes) -> bool:
    """Return whether the header section of a part of a multipart form has such a name."""
    return bool(_DIRECTIVE.search(head))


def head_leaves(head: bytes) -> bool:
    """Return whether in a header section that has such a name anything leaves the address, however it is quoted."""
    return any(_LEAVES.search(each) for each in re.split(rb'["\';=\s\\]+', head) if each)


def by_value(head: bytes) -> bool:
    """Return whether in a header section that has such a name it is the value that is appended to the path."""
    return bool(re.search(rb'["\';=\s\\]:(?:default_)?(?:method|action)', head))


def value_leaves(value: bytes) -> bool:
    """Return whether a value that is appended to the path leaves the address."""
    return len(value) > _LONGEST or bool(_LEAVES.search(value))


def _may_name(query: bytes) -> bool:
    """Return whether there is a colon at all: nearly all queries end here."""
    return b":" in query or b"%3" in query


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and values, decoded."""
    pieces = query.split(b"&")
    if b";" in query:  # which older Zopes take for an ampersand
        pieces += re.split(rb"[&;]", query)
    for piece in pieces:
        name, _, value = piece.replace(b"+", b" ").partition(b"=")
        yield unquote_to_bytes(name), unquote_to_bytes(value)


def _leaves(name: bytes, value: bytes) -> bool:
    if not _DIRECTIVE.search(name):
        return False
    if name.startswith(b":"):
        # Anything else that is said of the value might decode it: `:method:utf_7`.
        return _DIRECTIVE.sub(b"", name) not in _CLICKED or value_leaves(value)
    return bool(_LEAVES.search(name))
