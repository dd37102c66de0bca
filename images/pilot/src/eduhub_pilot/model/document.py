"""Reads the JSON of a state file; errors name the file, the field and the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import SLOTS, Slot

SCHEMA = 1
RELEASE_ID = re.compile(r"\d{8}T\d{6}Z-py[0-9a-z.]+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Source:
    """Where a document is from, and the code, remedy and next commands of an error in it."""

    file: str
    code: str
    remedy: str
    next: tuple[Sequence[str], ...] = ()

    def refused(self, what: str) -> RefusedError:
        """Return the error for this source, `what` being a predicate."""
        return RefusedError(self.code, f"{self.file} {what}. {self.remedy}".rstrip(), *self.next)


@dataclass(frozen=True)
class Document:
    """A JSON object; the readers return a field's value or raise RefusedError."""

    source: Source
    fields: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str, source: Source) -> Document:
        """Return the document in `text`; RefusedError when it is not a JSON object of a known schema."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise source.refused(f"is not valid JSON ({error})") from None
        if not isinstance(fields, dict):
            raise source.refused(f"holds {json.dumps(fields)[:40]} instead of an object")
        schema = fields.get("schema")
        if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
            raise RefusedError(
                "state_newer",
                f"{source.file} was written by a newer pilot (schema {schema}; this one reads {SCHEMA}). Use the "
                "checkout that wrote it, and build its pilot there.",
                ["./invoke", "images.build", "--names", "pilot"],
            )
        if schema != SCHEMA or isinstance(schema, bool):
            raise source.refused(f"has schema {schema!r}, not {SCHEMA}")
        return cls(source, fields)

    def wrong(self, name: str, wanted: str) -> RefusedError:
        """Return the error of a field `name` that should hold `wanted`."""
        held = f"{json.dumps(self.fields[name])[:60]}" if name in self.fields else "nothing"
        return self.source.refused(f"holds {held} in {name!r} instead of {wanted}")

    def part(self, name: str) -> Document | None:
        """Return the object in `name` as a document of its own, or None for null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object or null")
        return Document(self.source, value)

    def needed(self, name: str) -> Document:
        """Return the object in `name`."""
        part = self.part(name)
        if part is None:
            raise self.wrong(name, "an object")
        return part

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text")
        return value

    def maybe_text(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.text(name)

    def number(self, name: str) -> float:
        value = self.fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e12:
            raise self.wrong(name, "a number")
        return value

    def maybe_number(self, name: str) -> float | None:
        return None if self.fields.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def slot(self, name: str) -> Slot:
        for slot in SLOTS:
            if self.fields.get(name) == slot:
                return slot
        raise self.wrong(name, "blue or green")

    def release(self, name: str) -> str:
        value = self.text(name)
        # It becomes part of a path and of a command to HAProxy.
        if not RELEASE_ID.fullmatch(value):
            raise self.wrong(name, "the id of a release")
        return value

    def maybe_release(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.release(name)
