"""Jobs: what they take, and what becomes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Optional, Union

from pydantic import AfterValidator, Field
from typing_extensions import Annotated

from eduhub_bridge.web.models import PATH, Given, Taken

_JOB = "18916e7b1c4a4f5b9a0b7d2e5f6a7b8c"


def _number(value: int) -> int:
    if value.bit_length() > 63:
        raise ValueError("a number has at most 63 bits")
    return value


class Export(Taken):
    """What to export: parameters of Plone's @search, but for those that page and sort."""

    query: dict[str, Union[str, Annotated[int, AfterValidator(_number)], bool, list[str]]] = Field(
        default_factory=dict, description="For example all documents below a path.",
        examples=[{"portal_type": ["Document"], "path.query": "/courses"}],
    )  # fmt: skip


class JobLinks(Given):
    """Where the rest of it is."""

    self: str = Field(examples=[f"/api/v1/jobs/{_JOB}"])
    results: str = Field(examples=[f"/api/v1/jobs/{_JOB}/results"])


class Job(Given):
    """Operations or an export on their way, or what became of them; kept for a day after their end."""

    job: str = Field(description="Its id.", examples=[_JOB])
    kind: Literal["bulk", "export"] = Field(examples=["bulk"])
    state: Literal["receiving", "queued", "running", "waiting", "done", "cancelled", "failed"] = Field(
        description="`waiting` needs its user: see `why`, and `resume`.", examples=["done"]
    )
    why: Optional[str] = Field(None, description="Why it waits or failed; left out otherwise.", examples=[None])
    total: Optional[int] = Field(description="How many results there will be; null while unknown.", examples=[2])
    done: int = Field(description="How many there are.", examples=[2], ge=0)
    failed: int = Field(description="How many of them are failures.", examples=[0], ge=0)
    created: datetime = Field(examples=["2026-03-01T09:30:00.000Z"])
    changed: datetime = Field(examples=["2026-03-01T09:30:02.500Z"])
    options: dict[str, Any] = Field(
        description="What was asked for.", examples=[{"dry_run": False, "stop_on_error": False, "concurrency": 1}]
    )
    links: JobLinks


class Jobs(Given):
    """The newest hundred jobs of a user."""

    items: list[Job]


class OperationResult(Given):
    """A line of a bulk answer: what came of one operation. More members are Plone's, or of a problem."""

    seq: int = Field(description="Number of the operation's line in the request, from 0.", examples=[0], ge=0)
    op: Optional[str] = Field(None, description="Left out for a line that is no operation.", examples=["create"])
    key: Optional[str] = Field(None, description="The operation's own.", examples=["import-17"])
    ok: bool = Field(examples=[True])
    status: int = Field(description="What a request of its own would have been answered.", examples=[201])
    path: Optional[str] = Field(None, description=PATH, examples=["/courses/algebra-6o5gi236l5"])
    found: Optional[bool] = Field(None, description="It had been written by an attempt whose answer was lost.")
    replayed: Optional[bool] = Field(None, description="It is the result of an earlier request with this key.")
    uncertain: Optional[bool] = Field(None, description="It failed, and may have been written: send it with its key.")
    detail: Optional[str] = Field(None, description="What is wrong, in one sentence.", examples=[None])
