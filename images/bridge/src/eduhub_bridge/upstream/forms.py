"""Reads a form on its way to Plone, and refuses one that would lead elsewhere than its address: see directives."""

from __future__ import annotations

import re
from typing import AsyncIterator, Optional

from eduhub_bridge.upstream import directives
from eduhub_bridge.upstream.addresses import RefusedError

# Zope reads a form in these, also in one without a content type.
_METHODS = frozenset({"POST", "PUT"})
_URLENCODED = frozenset({"application/x-www-form-urlencoded", "application/x-url-encoded", ""})
_MULTIPART = "multipart/form-data"
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"\\]+)"|([^\s";,]+))', re.IGNORECASE)
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s";,]*)', re.IGNORECASE)
# Bytes of ASCII are themselves in these. In others, such as UTF-7, "..", ":" and "/" have further spellings.
_PLAIN_CHARSETS = re.compile(
    r"(?:utf-?8|(?:us-?)?ascii|latin-?1|iso-?8859-\d+|(?:windows|cp)-?12\d\d|koi8-[ru]|euc-(?:jp|kr)|gb(?:k|2312|18030)"
    r"|big5|shift[-_]jis)?",
    re.IGNORECASE,
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
# Runs of space, each looked at once: a pattern that begins at every character of a run takes its length squared.
_SPACE = re.compile(rb"[\s\x1c-\x1f\x85\xa0]+")
_LINE_END = re.compile(rb"[\r\n]")
# What Zope is to append to a path is shorter, and so is a part's header section.
_LONGEST = 16 * 1024


class Form:
    """What of a form has come: `feed` it, then `end`; both raise RefusedError. `plain` admits no directive at all."""

    def __init__(self, boundary: Optional[bytes], *, plain: bool) -> None:
        self._delimiter = b"--" + boundary if boundary is not None else b""
        self._plain = plain
        self._pending = bytearray(b"\n" if boundary is not None else b"")
        self._in_head = self._in_value = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the form, before they are passed on."""
        self._pending += chunk
        if self._delimiter:
            while self._read_part():
                pass
        elif b"&" in chunk:
            done, _, last = bytes(self._pending).rpartition(b"&")
            self._check(done)
            self._pending = bytearray(last)
        if not self._delimiter:
            del self._pending[_LONGEST:]  # of one long field

    def end(self) -> None:
        """Take note that no more follows."""
        if not self._delimiter:
            self._check(bytes(self._pending))
        elif self._in_head:
            self._check_head(bytes(self._pending))
        elif self._in_value:
            self._check_value(bytes(self._pending))

    def _check(self, pairs: bytes) -> None:
        if directives.leaves(pairs) or (self._plain and directives.named(pairs)):
            raise RefusedError(directives.REASON)

    def _read_part(self) -> bool:
        """Take a part's header section or body from what is pending; return whether it was there to its end."""
        if self._in_head:
            end = _HEAD_END.search(self._pending)
            if (end.start() if end else len(self._pending)) > _LONGEST:
                raise RefusedError(f"A part of the form has more than {_LONGEST} bytes of header fields.")
            if not end:
                return False
            self._check_head(bytes(self._pending[: end.start()]))
            del self._pending[: end.end() - 1]  # the delimiter has a line of its own
            self._in_head = False
            return True
        at = self._pending.find(self._delimiter)
        while at > 0 and self._pending[at - 1] not in b"\r\n":
            at = self._pending.find(self._delimiter, at + 1)
        if self._in_value and (at >= 0 or len(self._pending) > _LONGEST):
            self._check_value(bytes(self._pending[:at] if at >= 0 else self._pending))
            self._in_value = False
        if at < 0:
            if not self._in_value:
                del self._pending[: -len(self._delimiter) - 1]
            return False
        del self._pending[: at + len(self._delimiter)]
        self._in_head = True
        return True

    def _check_head(self, head: bytes) -> None:
        head += b"\n" + _SPACE.sub(_unfolded, head)
        if not directives.in_head(head):
            return
        self._in_value = directives.by_value(head)
        if self._plain or directives.head_leaves(head) or (self._in_value and b"charset" in head.lower()):
            raise RefusedError(directives.REASON)

    def _check_value(self, value: bytes) -> None:
        if directives.value_leaves(value.strip()):
            raise RefusedError(directives.REASON)


def _unfolded(space: re.Match[bytes]) -> bytes:
    """Return what Zope's parser makes of a run of space: it joins what stands on further lines, without the space."""
    return b"" if _LINE_END.search(space[0], 0, len(space[0]) - 1) else space[0]


def form(method: str, content_type: str, *, plain: bool) -> Optional[Form]:
    """Return what reads the body if Zope takes it for a form; raise RefusedError for one that cannot be read."""
    kind = content_type.partition(";")[0].strip().lower()
    if method not in _METHODS:
        return None
    if kind == _MULTIPART:
        found = [quoted or token for quoted, token in _BOUNDARY.findall(content_type)]
        if len(found) != 1:
            raise RefusedError("Content-Type of a multipart form must name its boundary, once.")
        return Form(found[0].encode(), plain=plain)
    if kind not in _URLENCODED:
        return None
    if not all(_PLAIN_CHARSETS.fullmatch(each) for each in _CHARSET.findall(content_type)):
        raise RefusedError("The form's charset has several spellings of one name; send it as UTF-8.")
    return Form(None, plain=plain)


async def read_along(body: AsyncIterator[bytes], form: Form) -> AsyncIterator[bytes]:
    """Yield `body` one byte late, so that the end of a refused form is never sent; raise RefusedError."""
    last = b""
    async for chunk in body:
        form.feed(chunk)
        whole = last + chunk
        if len(whole) > 1:
            yield whole[:-1]
        last = whole[-1:]
    form.end()
    if last:
        yield last
