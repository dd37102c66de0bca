"""What the OpenAPI document says of bulk, exports and jobs beyond their signatures."""

from __future__ import annotations

from typing import Any, Dict, Optional, get_args

from starlette.responses import Response

from eduhub_bridge.jobs.models import Export, Job, OperationResult
from eduhub_bridge.jobs.operations import Operation
from eduhub_bridge.web.openapi import answers, header, lines
from eduhub_bridge.web.streams import NDJSON

ID = {"pattern": "^[0-9a-f]{32}$"}
STREAMED = (*get_args(Operation), OperationResult, Job, Export)
"""Models of what is taken and given in streams."""
_JOB = "/api/v1/jobs/18916e7b1c4a4f5b9a0b7d2e5f6a7b8c"
_LAST = (
    '{"job": "18916e7b1c4a4f5b9a0b7d2e5f6a7b8c", "kind": "%s", "state": "done", "total": 1, "done": 1, "failed": 0, '
    '"created": "2026-03-01T09:30:00.000Z", "changed": "2026-03-01T09:30:02.500Z", "options": {}, "links": '
    f'{{"self": "{_JOB}", "results": "{_JOB}/results"}}}}\n'
)
OPERATIONS = lines(
    NDJSON, "|".join(each.__name__ for each in get_args(Operation)),
    '{"op": "create", "path": "/courses", "item": {"@type": "Document", "title": "Algebra"}, "key": "import-17"}\n'
    '{"op": "change", "path": "/courses/algebra", "item": {"title": "Algebra I"}}\n',
)  # fmt: skip
RESULTS = lines(
    NDJSON, "OperationResult|Job",
    '{"seq": 0, "op": "create", "key": "import-17", "ok": true, "status": 201, "path": "/courses/algebra-6o5gi236l5"}\n'
    + _LAST % "bulk",
)  # fmt: skip
ITEMS = lines(
    NDJSON, "Job",
    '{"@id": "https://hub.example.org/plone/courses", "@type": "Folder", "title": "Courses"}\n' + _LAST % "export",
)  # fmt: skip
PREFER = header("Prefer", "`respond-async` leaves it to the background: 202 instead of 200.")
IDEMPOTENCY = header(
    "Idempotency-Key", "The same request again with the same key, a quoted string, is the same job.",
    maxLength=257, examples=['"import-2026"'],
)  # fmt: skip


class Lines(Response):
    """Lines of JSON."""

    media_type = NDJSON


def told(model: Any, says: str, *others: int, lines: Optional[Dict[str, Any]] = None, **more: Any) -> Dict[str, Any]:
    """Return what a route gives, and how it may fail: in the usual ways, and `others`."""
    keywords = answers(model, 507, *others, says=says, **more)
    if lines is not None:
        keywords["responses"][keywords["status_code"]]["content"] = lines
    return keywords


def streams(says: str, lines: Dict[str, Any], *others: int) -> Dict[str, Any]:
    """Return what a route gives that streams results at once, or accepts a job."""
    keywords = told(None, says, 429, *others, lines=lines, X_EduHub_Job="Id of the job")
    later = told(None, "It goes on in the background.", status=202, Location="Where to look",
                  Preference_Applied="`respond-async`")  # fmt: skip
    job = {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
    keywords["responses"][202] = {**later["responses"][202], "content": job}
    return keywords


def cancelled() -> Dict[str, Any]:
    """Return what a route gives that ends a job, or forgets one that has ended."""
    keywords = told(Job, "It stops after the operation in hand.", status=202)
    keywords["responses"][204] = {"description": "An ended one is forgotten, with its results and keys."}
    return keywords
