"""HTTP as uvicorn speaks it, but for three things.

- Bytes that are no request are refused with a problem document, like all that is refused.
- Fields after a chunked body (trailers) are dropped. uvicorn adds them to the header fields, and Plone would take them
  for such (RFC 9110, 6.5.1), though what stands before the bridge has cleaned those alone.
- A request with a body that asks for another protocol is refused: the parser takes its body for the next request.
"""

from __future__ import annotations

from email.utils import formatdate

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eduhub_bridge.web.problems import problem


class Protocol(HttpToolsProtocol):
    """For uvicorn.Config(http=…)."""

    def on_message_begin(self) -> None:
        """Begin a request, whose header fields follow."""
        self._headed = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field, and drop a trailer."""
        if not self._headed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with the request; raise ValueError, which the parser makes a refusal, where its end is unclear."""
        self._headed = True
        if self.parser.should_upgrade() and any(_frames_body(*field) for field in self.headers):
            raise ValueError("a request with a body asks for another protocol")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it says no more than the status does
        """Refuse what could not be read, where that is no part of another answer, and close the connection."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self._refuse()
        self.transport.close()

    def _refuse(self) -> None:
        fields = {"connection": "close", "date": formatdate(usegmt=True)}
        answer = problem(400, "This is no HTTP request that the bridge can read.", fields)
        head = [b"HTTP/1.1 400 Bad Request", *(b"%s: %s" % field for field in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))


def _frames_body(name: bytes, value: bytes) -> bool:
    """Return whether a header field says that a body follows."""
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
