"""An answer without a body ends at its head, whatever follows it: Zope sends the body of GET after HEAD.

So do views that set the status 204 and return a text, or servers that end what has no body with an empty chunk.

aiohttp from 3.14 on takes such a body in the packet of the head for the next answer of a broken server, and fails the
whole one. A connection that HEAD was sent on is therefore never used again, and its bytes after the head are not read.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any, Callable, cast

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler

# By the standard, no body follows these (RFC 9112, section 6.3).
_BARE = frozenset({204, 304})
_END = re.compile(rb"\r?\n\r?\n")
# The longest part of an end that the next packet may complete.
_OVERLAP = 3


class HeadConnector(TCPConnector):
    """Connects for HEAD and nothing else, once for each request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(force_close=True, **options)
        # aiohttp has no public place for it; the tests of HEAD notice a release where this one is gone.
        handler: Callable[..., Any] = partial(_HeadHandler, loop=self._loop)
        self._factory = cast("partial[ResponseHandler]", handler)


class FreshConnector(TCPConnector):
    """Connects once for each request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(force_close=True, **options)
        handler: Callable[..., Any] = partial(_FreshHandler, loop=self._loop)
        self._factory = cast("partial[ResponseHandler]", handler)


class WriteConnector(TCPConnector):
    """Connects once for each request, and gives `outlast` the connections on which no answer came in time.

    Closing one would not end what Plone does, but tell the bridge no more when it ends.
    """

    def __init__(self, outlast: Callable[[asyncio.Transport], None], **options: Any) -> None:
        super().__init__(force_close=True, **options)
        handler: Callable[..., Any] = partial(_WriteHandler, outlast, loop=self._loop)
        self._factory = cast("partial[ResponseHandler]", handler)


class _HeadHandler(ResponseHandler):
    """Gives the parser the final head of an answer, after any interim ones (1xx), and not a byte more."""

    _body = False

    def __init__(self, loop: Any) -> None:
        super().__init__(loop=loop)
        self._recent = b""
        self._ended = False

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take a head from the parser."""
        self._ended = self._ended or data[0].code >= 200
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to heads: one head at a time, since only the parser knows which is the final one."""
        while data and not self._ended:
            known = len(self._recent)
            end = _END.search(self._recent + data)
            size = end.end() - known if end else len(data)
            self._recent = b"" if end else (self._recent + data)[-_OVERLAP:]
            super().data_received(data[:size])
            data = data[size:]
        if data and self._body:
            super().data_received(data)


class _FreshHandler(_HeadHandler):
    """Gives the parser a body too, where one may follow."""

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take a head from the parser."""
        self._body = self._body or (data[0].code >= 200 and data[0].code not in _BARE)
        super().feed_data(data, size)


class _WriteHandler(_FreshHandler):
    def __init__(self, outlast: Callable[[asyncio.Transport], None], loop: Any) -> None:
        super().__init__(loop=loop)
        self._outlast = outlast

    def _on_read_timeout(self) -> None:
        super()._on_read_timeout()
        transport = self.transport
        if transport is not None and not self._ended:
            self.transport = None  # so that aiohttp, which gives up here, does not close it
            self._outlast(transport)
