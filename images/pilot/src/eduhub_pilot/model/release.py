"""A release's record and its specification. The same specification and image are the same release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eduhub_pilot.model.document import SCHEMA, Document, Source
from eduhub_pilot.model.facts import Image
from eduhub_pilot.model.state import stamp

# The fields that the pilot reads; all other fields of a specification are kept and hashed as they are.
TEXTS = ("image", "health_path")
MAYBE_TEXTS = ("python", "live_path")
KEPT = "eduhub/kept"
SPECIFICATION = Source(
    "The specification", "specification_invalid", "Check the bridge_* variables of the inventory."
)


@dataclass(frozen=True)
class Spec:
    """What a slot has to run, from role bridge."""

    fields: dict[str, Any]

    @property
    def image(self) -> str:
        return str(self.fields["image"])

    @property
    def python(self) -> str | None:
        """The Python to run, as "3.11"; None for a foreign image."""
        return self.fields.get("python")

    @property
    def health_path(self) -> str:
        return str(self.fields["health_path"])

    @property
    def paths(self) -> list[str]:
        """The paths of the smoke gate: readiness, liveness where there is one, then the given pages."""
        given = [self.health_path, self.fields.get("live_path"), *(self.fields.get("smoke_paths") or [])]
        return list(dict.fromkeys(path for path in given if path))

    @property
    def stop_seconds(self) -> int:
        return int(self.fields.get("stop_seconds") or 30)

    @property
    def port(self) -> int | None:
        """The TCP port of a bridge that cannot listen on a socket; None for all others."""
        return int(self.fields["port"]) if self.fields.get("port") else None

    def resolved(self, python: str | None) -> Spec:
        """Return the specification for one Python, its image named."""
        return Spec({**self.fields, "python": python, "image": self.image.replace("{python}", python or "")})


def parse_spec(fields: Any) -> Spec:
    """Return the specification that standard input held; RefusedError for an invalid one."""
    if not isinstance(fields, dict):
        raise SPECIFICATION.refused("is not a JSON object")
    document = Document(SPECIFICATION, fields)
    _check(document)
    paths = [fields["health_path"], fields.get("live_path") or "/", *_texts(document, "smoke_paths")]
    if bad := next((path for path in paths if not path.startswith("/") or not path.isprintable() or " " in path), None):
        raise SPECIFICATION.refused(f"holds the path {bad!r}: a path starts with / and holds no blank")
    return Spec(fields)


def _check(document: Document) -> None:
    """Raise RefusedError for an invalid field that the pilot reads."""
    for name in TEXTS:
        document.text(name)
    for name in MAYBE_TEXTS:
        document.maybe_text(name)
    if document.fields.get("stop_seconds") is not None:
        document.number("stop_seconds")
    _texts(document, "smoke_paths")


def _texts(document: Document, name: str) -> list[str]:
    value = document.fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise document.wrong(name, "a list of texts")
    return value


@dataclass(frozen=True)
class Record:
    """releases/<id>/release.json: everything that starting this release again needs. Never changed once written."""

    id: str
    created: str
    run: str
    python_version: str | None
    image_name: str
    image_id: str
    hash: str
    spec: Spec

    @property
    def python(self) -> str | None:
        return self.spec.python

    @property
    def kept(self) -> str:
        """The tag that keeps the image from being pruned."""
        return kept(self.id)

    @property
    def intact(self) -> bool:
        """Whether the hash still matches the specification and the image."""
        return self.hash == _hash(self.spec, self.image_id)

    def named(self) -> str:
        """Return the release in words: its id and, where known, its Python."""
        return f"{self.id} (Python {self.python_version})" if self.python_version else self.id

    def document(self) -> dict[str, Any]:
        """Return the file's fields."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "created": self.created,
            "run": self.run,
            "python": self.python,
            "python_version": self.python_version,
            "image": {"name": self.image_name, "id": self.image_id},
            "hash": self.hash,
            "spec": self.spec.fields,
        }

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps(self.document(), indent=1) + "\n"


def kept(release: str) -> str:
    """Return the tag of a release's image, which needs no record."""
    return f"{KEPT}:{release.lower()}"


def make_record(spec: Spec, image: Image, run: str, now: datetime) -> Record:
    """Return the record of a release of the resolved `spec`; the hash covers it and the image's id."""
    digest = _hash(spec, image.id)
    release = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-py{spec.python or 'none'}-{digest[:8]}"
    return Record(release, stamp(now), run, image.python, spec.image, image.id, digest, spec)


def _hash(spec: Spec, image: str) -> str:
    canonical = json.dumps({"spec": spec.fields, "image": image}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_record(text: str, source: Source) -> Record:
    """Return the record in `text`; RefusedError for an invalid one."""
    document = Document.parse(text, source)
    image, spec = document.needed("image"), document.needed("spec")
    _check(spec)
    return Record(
        id=document.release("id"),
        created=document.text("created"),
        run=document.text("run"),
        python_version=document.maybe_text("python_version"),
        image_name=image.text("name"),
        image_id=image.text("id"),
        hash=document.text("hash"),
        spec=Spec(dict(spec.fields)),
    )
