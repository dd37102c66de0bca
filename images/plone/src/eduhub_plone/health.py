"""Health check: ends with 0 when Plone answers /ok. Needs nothing but the standard library."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException


def main() -> int:
    """Ask Plone once and return the exit code."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("LISTEN_PORT") or 8080), timeout=5)
    try:
        connection.request("GET", "/ok")
        answer = connection.getresponse()
    except (OSError, HTTPException) as error:
        print(f"Plone does not answer /ok: {error}")
        return 1
    if answer.status != 200:
        print(f"Plone answers /ok with {answer.status}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
