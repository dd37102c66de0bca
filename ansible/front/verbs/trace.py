"""What `trace` refuses: a word that is no id of a request, and an id that no log holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from front.arguments.refusal import RefusalError
from front.output.trace_table import lines_of
from front.run.outcome import Outcome

# As the edge gives it, and takes it from a trusted proxy.
REQUEST_ID = re.compile(r"[A-Za-z0-9._=+/-]{8,128}")


def check_id(given: Any) -> None:
    """Raise RefusalError unless `given` is what the edge calls a request by."""
    if not REQUEST_ID.fullmatch(str(given or "")):
        raise RefusalError(
            f"{str(given or '')[:40]!a} is no id of a request: type the X-Request-ID of an answer, "
            "8 to 128 letters, digits and . _ = + / -."
        )


def check_found(request: Any, names: Sequence[str], outcome: Outcome) -> None:
    """Raise RefusalError where no host's logs say anything of `request`."""
    if not lines_of(outcome.hosts):
        raise RefusalError(
            f"No log on {', '.join(names)} holds the request {request}. The engine keeps the last 30 MB of each "
            "container's log, and removes it with the container."
        )
