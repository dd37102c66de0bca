"""Plone's access log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

# Its token, in the link of a mail, is valid for a week.
PASSWORD_RESET = re.compile(r"(/passwordreset/)[^/]+", re.IGNORECASE)
# As the edge gives it, and takes it from a trusted proxy.
REQUEST_ID = re.compile(r"[A-Za-z0-9._=+/-]{8,128}")
log = logging.getLogger("access")


class AccessLog:
    """WSGI middleware: one line a request, without query and password reset, which may hold tokens. /ok is left out.

    Its last word is the request's id, by which the edge and the bridge log the same request; `-` without one.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/ok":
            return self.application(environ, start_response)
        statuses = ["500"]

        def note(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            statuses.append(status[:3])
            return start_response(status, headers, *exc_info)

        begun = time.perf_counter()
        try:
            return self.application(environ, note)
        finally:
            spent = (time.perf_counter() - begun) * 1000
            words = (environ["REMOTE_ADDR"], environ["REQUEST_METHOD"], shown(path), statuses[-1], spent)
            log.info("%s %s %s %s %.0f ms %s", *words, request_id(environ))


def shown(path: str) -> str:
    """Return a path as the log has it."""
    return quote(PASSWORD_RESET.sub(r"\1-", path), safe="/@+:")


def request_id(environ: dict[str, Any]) -> str:
    """Return the X-Request-ID of a request, `-` where it has none of the form that the edge gives."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if REQUEST_ID.fullmatch(given) else "-"
