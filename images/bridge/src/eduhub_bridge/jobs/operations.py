"""What a line of a bulk request may say. Pure: nothing here talks to Plone.

    {"op": "create", "path": "/courses", "item": {"@type": "Document", "title": "Algebra"}, "key": "import-17"}
    {"op": "change", "path": "/courses/algebra", "item": {"title": "Algebra I"}}
    {"op": "move", "path": "/courses/algebra", "to": "/archive"}
    {"op": "publish", "path": "/archive/algebra"}
    {"op": "delete", "path": "/archive/algebra"}

Paths begin at the site's root.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from typing import Any, Dict, Literal, Optional, Union

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import Annotated

from eduhub_bridge.plone import documents
from eduhub_bridge.plone.content_paths import content_path
from eduhub_bridge.upstream.addresses import RefusedError
from eduhub_bridge.web.models import Place, is_path

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LETTERS = 40


def _item_path(text: str) -> str:
    if text == "/":
        raise ValueError("the site itself is no item of this kind")
    return is_path(text)


def _new(item: Dict[str, Any]) -> Dict[str, Any]:
    if not isinstance(item.get("@type"), str) or not item["@type"]:
        raise ValueError("'@type' names the type of the new item")
    if "id" in item and not (isinstance(item["id"], str) and _ID.fullmatch(item["id"])):
        raise ValueError("'id' is letters, digits, '.', '_' and '-', at most 150")
    if "id" in item:
        is_path(f"/{item['id']}")
    return item


def _fields(item: Dict[str, Any]) -> Dict[str, Any]:
    if not item:
        raise ValueError("there is nothing to change")
    if "id" in item:
        raise ValueError("'id' cannot be changed: a repeated request would not find the item again")
    return item


def _transition(name: str) -> str:
    try:
        return content_path(f"/{name}")[1:]
    except RefusedError as refusal:
        raise ValueError(str(refusal)) from None


ItemPlace = Annotated[str, Field(max_length=2000), AfterValidator(_item_path)]


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    key: Optional[Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]] = Field(
        None, description="Given again with the same operation, nothing is written twice."
    )


class CreateOperation(_Operation):
    """Make an item in the container at `path`. Without `id` the bridge chooses one that a repetition finds again."""

    op: Literal["create"]
    path: Place
    item: Annotated[Dict[str, Any], AfterValidator(_new)]


class ChangeOperation(_Operation):
    """Set fields of the item at `path`; the others stay."""

    op: Literal["change"]
    path: Place
    item: Annotated[Dict[str, Any], AfterValidator(_fields)]


class DeleteOperation(_Operation):
    """Delete the item at `path` with all that is in it."""

    op: Literal["delete"]
    path: ItemPlace


class MoveOperation(_Operation):
    """Move the item at `path` into the container `to`."""

    op: Literal["move"]
    path: ItemPlace
    to: Place


class PublishOperation(_Operation):
    """Move the item at `path` on in its workflow; `publish` unless another transition is named."""

    op: Literal["publish"]
    path: ItemPlace
    transition: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$"), AfterValidator(_transition)] = "publish"
    comment: Optional[str] = None


Operation = Union[CreateOperation, ChangeOperation, DeleteOperation, MoveOperation, PublishOperation]
_ADAPTER: TypeAdapter[Operation] = TypeAdapter(Annotated[Operation, Field(discriminator="op")])


class InvalidOperationError(Exception):
    """A line is no operation; `wrong` says where and what, for the client."""

    def __init__(self, wrong: list[dict[str, str]]) -> None:
        super().__init__("The line is no operation.")
        self.wrong = wrong


def parse(line: bytes) -> Operation:
    """Return the operation in a line; raise InvalidOperationError."""
    try:
        return _ADAPTER.validate_python(documents.read(line))
    except orjson.JSONDecodeError as error:
        raise InvalidOperationError([{"where": "", "what": f"no JSON: {error}"}]) from None
    except ValidationError as error:
        wrong = [{"where": ".".join(str(part) for part in each["loc"]), "what": each["msg"]} for each in error.errors()]
        raise InvalidOperationError(wrong) from None


def fingerprint(operation: _Operation) -> str:
    """Return what is the same for two lines that ask for the same, whatever their key and spelling."""
    document = operation.model_dump(exclude={"key"})
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def chosen_id(operation: CreateOperation, scope: str) -> str:
    """Return the id of a new item: the one given, or words of its title and 50 bits of `scope` and content.

    The same operation of the same `scope` has the same id for ever, so that it can be found, and cannot be there twice.
    """
    given = operation.item.get("id")
    if given:
        return str(given)
    title = str(operation.item.get("title") or operation.item["@type"])
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = _SLUG.sub("-", plain).strip("-")[:_SLUG_LETTERS].strip("-")
    digest = hashlib.sha256(f"{scope}\0{fingerprint(operation)}".encode()).digest()
    mark = base64.b32encode(digest[:7]).decode().lower()[:10]
    return f"{words or 'item'}-{mark}"


def child(container: str, name: str) -> str:
    """Return the path of `name` in a container."""
    return f"{container.rstrip('/')}/{name}"
