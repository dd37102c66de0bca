"""What ends a command early: a code of the pilot's table, and a message for people."""

from __future__ import annotations

from typing import Any


class BackupError(Exception):
    """The command ends. `data` goes into the answer."""

    exit = 1

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class RefusedError(BackupError):
    """Nothing was changed."""

    exit = 2


class DamagedError(BackupError):
    """A backup is not what its manifest says."""

    def __init__(self, message: str) -> None:
        super().__init__("backup_damaged", message)
