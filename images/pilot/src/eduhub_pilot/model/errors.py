"""What can end a command early. Each message is for the operator: what is wrong, which value, what to type next."""

from __future__ import annotations

from typing import Any


class PilotError(Exception):
    """A command's end with words; `code` None means that the command's own code for trouble applies."""

    code: int | None = None

    def __init__(self, say: str, **data: Any) -> None:
        super().__init__(say)
        self.say = say
        self.data = data


class RefusedError(PilotError):
    """Nothing was touched."""

    code = 2


class FailedError(PilotError):
    """Tried and failed; the old release serves, or will once the run is reverted."""

    code = 1


class PersonError(PilotError):
    """The pilot cannot bring the host into a legal state by itself."""

    code = 3


class LostError(FailedError):
    """The run no longer holds the host: another one reverted it or took it over."""


class ProxyDownError(PilotError):
    """HAProxy's admin socket gave no whole answer in time."""


class EngineDownError(PilotError):
    """The Docker Engine gave no answer, or refused."""
