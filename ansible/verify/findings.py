"""A finding: what is not as it should be on a host, which value was found, and what to do next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

DEPLOY = ("./invoke", "deploy")
STATUS = ("./invoke", "status")


@dataclass(frozen=True)
class Finding:
    """`code` is stable and for programs, `what` a sentence for people, `next` the command to type, as a list."""

    code: str
    what: str
    next: tuple[str, ...] = field(default=STATUS)

    @property
    def message(self) -> str:
        """The whole message: what is wrong, then the next command."""
        return f"{self.what} Next: `{shlex.join(self.next)}`"

    def document(self, check: str, host: str) -> dict[str, Any]:
        """Return the finding as data, as the check named `check` found it on `host`."""
        return {
            "check": check, "code": self.code, "what": self.what, "message": self.message, "next": [list(self.next)],
            "host": host,
        }  # fmt: skip


class Untrue(AssertionError):  # noqa: N818 - raised for what is found, not for an error
    """A check with findings."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(" ".join(finding.message for finding in findings))
        self.findings = findings


def raise_for(findings: Iterable[Finding]) -> None:
    """Raise Untrue with all findings, if there are any."""
    if found := list(findings):
        raise Untrue(found)
