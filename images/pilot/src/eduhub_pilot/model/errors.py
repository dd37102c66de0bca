"""What ends a command early: a code of `codes`, a message for people, and the argument lists to type next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class PilotError(Exception):
    """A command's early end. `next` are argument lists, `data` goes into the answer."""

    def __init__(self, code: str, message: str, *following: Sequence[str], **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next = [list(each) for each in following]
        self.data = data


class RefusedError(PilotError):
    """Nothing was changed."""


class SettingError(RefusedError):
    """A setting has an invalid value."""

    def __init__(self, message: str, *following: Sequence[str]) -> None:
        super().__init__("setting_invalid", message, *following)


class FailedError(PilotError):
    """Tried and failed; the previous release is live, or will be once the run is reverted."""


class PersonError(PilotError):
    """The pilot cannot bring the host into a legal state without a person."""


class SupersededError(FailedError):
    """The run no longer holds the host: another run reverted it or took its lock."""

    def __init__(self, run: str, why: str) -> None:
        super().__init__("run_superseded", f"Run {run} ended on this host: {why}.", ["./invoke", "status"])


class ProxyDownError(PilotError):
    """HAProxy's admin socket gave no complete answer before the deadline."""

    def __init__(self, message: str) -> None:
        super().__init__("haproxy_down", message)


class EngineDownError(PilotError):
    """The Docker Engine did not answer or refused the request."""

    def __init__(self, message: str) -> None:
        super().__init__("engine_down", message, ["systemctl", "status", "docker"])
