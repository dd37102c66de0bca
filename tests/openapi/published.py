"""docs/reference/openapi.json: the API's OpenAPI document as a file, from which clients are generated."""

from __future__ import annotations

import asyncio
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from eduhub_bridge import settings
from eduhub_bridge.server.app import create_app
from eduhub_bridge.web import openapi
from tests.openapi.breaking import breaking

PUBLISHED = Path(__file__).resolve().parents[2] / "docs/reference/openapi.json"


class BreakingError(Exception):
    """The new document breaks clients of the published one; the text has a sentence for each change, a line each."""


def document() -> Any:
    """Return the document that the bridge of this checkout gives."""
    with tempfile.TemporaryDirectory() as folder:
        bridge = create_app(settings.read({"PLONE_URL": "http://plone:8080/Plone", "EDUHUB_STATE_DIR": folder}))
    routes: dict[str, Any] = {getattr(route, "path", ""): route for route in bridge.api.routes}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate Operation ID")  # of HEAD, which is left out
        return json.loads(asyncio.run(routes[openapi.URL].endpoint(None)).body)


def text(document: Any) -> str:
    """Return the document as it is published."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def publish(document: Any, file: Path = PUBLISHED, *, agreed: bool = False) -> bool:
    """Write `document` to `file`; return whether that changed it.

    Raises BreakingError, with nothing written, when it breaks clients of what stands there, unless that is `agreed`.
    """
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if before and not agreed and (sentences := breaking(json.loads(before), document)):
        raise BreakingError("\n".join(sentences))
    if (after := text(document)) == before:
        return False
    file.write_text(after, encoding="utf-8")
    return True
