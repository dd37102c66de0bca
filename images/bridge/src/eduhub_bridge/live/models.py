"""Changes, as those who listen hear of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Optional

from pydantic import Field

from eduhub_bridge.web.models import PATH, Given


class LiveMessage(Given):
    """The `data` of a server-sent event, and a message of the WebSocket."""

    type: Literal["created", "changed", "deleted", "moved", "published", "reset", "bye"] = Field(
        description="`reset`: changes were missed, load again. `bye`: the stream ends, `why` says why.",
        examples=["changed"],
    )
    id: Optional[int] = Field(None, description="For `Last-Event-ID`.", examples=[122])
    path: Optional[str] = Field(None, description=PATH, examples=["/courses/algebra"])
    old_path: Optional[str] = Field(None, description="Where it was before.", examples=["/submissions/algebra"])
    uid: Optional[str] = Field(None, examples=["3bb5f79449bf4a2893169d000f516d76"])
    modified: Optional[datetime] = Field(None, examples=["2026-03-02T10:00:00Z"])
    time: Optional[datetime] = Field(None, description="When it was noticed.", examples=["2026-03-02T10:00:01Z"])
    by: Optional[str] = Field(None, description="User id; told to users only.", examples=["ada"])
    why: Optional[str] = Field(None, examples=[None])
    detail: Optional[str] = Field(None, examples=[None])
