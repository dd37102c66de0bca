"""HTTP as uvicorn speaks it, but for its words on bytes that are no request: a problem document, like all others."""

from __future__ import annotations

from email.utils import formatdate

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eduhub_bridge.web.problems import problem


class Protocol(HttpToolsProtocol):
    """For uvicorn.Config(http=…)."""

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
