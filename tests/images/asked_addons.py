"""Runs in a container of Plone: installs add-ons in the site, makes a form, and prints what Plone answered."""

from __future__ import annotations

import base64
import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

SECONDS = 240
TOKEN = base64.b64encode(b"admin:a-password-of-tests").decode()
HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Basic {TOKEN}"}


def asked(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and document of an answer of the site."""
    connection = HTTPConnection("127.0.0.1", 8080, timeout=120)
    connection.request(method, f"/Plone{path}", json.dumps(body) if body else None, HEADERS)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else {}


def wait() -> None:
    """Return once the site answers; raise TimeoutError where it does not in time."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if asked("GET", "/@addons")[0] == 200:
                return
        except (OSError, HTTPException, ValueError):
            pass
        time.sleep(1)
    raise TimeoutError


def main(*names: str) -> dict[str, Any]:
    """Install the add-ons `names`."""
    wait()
    statuses = [asked("POST", f"/@addons/{name}/install")[0] for name in names]
    listed = asked("GET", "/@addons")[1]["items"]
    form = asked("POST", "", {"@type": "EasyForm", "title": "Enrol"})
    return {
        "statuses": statuses,
        "installed": [item["id"] for item in listed if item["is_installed"]],
        "form": [form[0], form[1].get("@type")],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
