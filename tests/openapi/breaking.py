"""What a change of an OpenAPI document breaks for the clients that were made from the one before. Pure.

A client breaks when something that it may send is refused, or something that it may read is not there any more. What
is sent may only widen, and what is read may only narrow. Texts, examples and titles are no contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Any
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
# Limits that refuse more when they are higher, and when they are lower.
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def breaking(before: Json, after: Json) -> list[str]:
    """Return one sentence for each change from `before` to `after`, two OpenAPI documents, that breaks a client."""
    return list(dict.fromkeys(_Documents(before, after).changes()))


class _Documents:
    def __init__(self, before: Json, after: Json) -> None:
        self._before, self._after = before, after

    def changes(self) -> Iterator[str]:
        for path, methods in self._before["paths"].items():
            now = self._after["paths"].get(path)
            if now is None:
                yield f"The path {path} is gone."
                continue
            for method in _METHODS:
                if method in methods:
                    name = f"{method.upper()} {path}"
                    if method in now:
                        yield from self._operation(name, methods[method], now[method])
                    else:
                        yield f"{name} is gone."

    def _operation(self, name: str, before: Json, after: Json) -> Iterator[str]:
        if before.get("operationId") != after.get("operationId"):
            yield f"{name} has another operationId: {before.get('operationId')} is now {after.get('operationId')}."
        yield from self._parameters(name, before.get("parameters", []), after.get("parameters", []))
        yield from self._body(name, self._old(before.get("requestBody")), self._new(after.get("requestBody")))
        for status, response in before["responses"].items():
            if status not in after["responses"]:
                if status < "400":  # a failure that cannot happen any more breaks nobody
                    yield f"{name} does not answer {status} any more."
                continue
            where = f"{name}, answer {status}"
            was, now = self._old(response), self._new(after["responses"][status])
            for header in was.get("headers", {}):
                if header not in now.get("headers", {}):
                    yield f"{where} has no header {header} any more."
            for media, content in was.get("content", {}).items():
                if media not in now.get("content", {}):
                    yield f"{where} is not given as {media} any more."
                else:
                    yield from self._contents(where, content, now["content"][media], sent=False)

    def _parameters(self, name: str, before: Json, after: Json) -> Iterator[str]:
        old = {(each["in"], each["name"]): each for each in map(self._old, before)}
        new = {(each["in"], each["name"]): each for each in map(self._new, after)}
        for key, parameter in old.items():
            where = f"{name}, {key[0]} parameter {key[1]}"
            if key not in new:
                yield f"{where} is gone."
                continue
            if new[key].get("required") and not parameter.get("required"):
                yield f"{where} is required now."
            yield from self._schema(where, parameter.get("schema", {}), new[key].get("schema", {}), sent=True)
        for key, parameter in new.items():
            if key not in old and parameter.get("required"):
                yield f"{name}, {key[0]} parameter {key[1]} is new and required."

    def _body(self, name: str, before: Json, after: Json) -> Iterator[str]:
        if after and after.get("required") and not (before or {}).get("required"):
            yield f"{name} requires a body now."
        if not before:
            return
        if not after:
            yield f"{name} takes no body any more."
            return
        for media, content in before["content"].items():
            if media in after["content"]:
                yield from self._contents(f"{name}, body", content, after["content"][media], sent=True)
            else:
                yield f"{name} takes no {media} any more."

    def _contents(self, where: str, before: Json, after: Json, *, sent: bool) -> Iterator[str]:
        for key in ("schema", "x-itemSchema"):
            if key in before:
                yield from self._schema(where, before[key], after.get(key, {}), sent=sent)

    def _schema(
        self, where: str, before: Json, after: Json, *, sent: bool, seen: frozenset[tuple[str, str]] = frozenset()
    ) -> Iterator[str]:
        names = (_reference(before), _reference(after))
        if all(names):
            if names in seen:
                return
            seen = seen | {names}
        old, new = self._old(before), self._new(after)
        yield from _types(where, old, new, sent=sent)
        yield from _values(where, old, new, sent=sent)
        yield from self._members(where, old, new, sent=sent, seen=seen)
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                yield from self._schema(f"{where}[]", old[key], new[key], sent=sent, seen=seen)
        for key in ("anyOf", "oneOf", "allOf"):
            yield from self._choices(where, old.get(key, []), new.get(key, []), sent=sent, seen=seen)

    def _choices(
        self, where: str, before: Json, after: Json, *, sent: bool, seen: frozenset[tuple[str, str]]
    ) -> Iterator[str]:
        old, new = ({self._shape(each): each for each in side} for side in (before, after))
        for shape, each in old.items():
            if shape in new:
                yield from self._schema(where, each, new[shape], sent=sent, seen=seen)
            elif sent:
                yield f"{where} is not taken as {shape} any more."
        if old and not sent:
            yield from (f"{where} may now be {shape}, too." for shape in new if shape not in old)

    def _shape(self, schema: Json) -> str:
        """What tells one choice from another: its name, else its type."""
        name = _reference(schema).rpartition("/")[2]
        return name or str(schema.get("const", schema.get("format", schema.get("type", "anything"))))

    def _members(
        self, where: str, old: Json, new: Json, *, sent: bool, seen: frozenset[tuple[str, str]]
    ) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        must, must_now = set(old.get("required", [])), set(new.get("required", []))
        for member, schema in was.items():
            if member not in now:
                yield f"{where}.{member} is gone."
                continue
            yield from self._schema(f"{where}.{member}", schema, now[member], sent=sent, seen=seen)
            if not sent and member in must - must_now:
                yield f"{where}.{member} may be missing now."
        if sent:
            yield from (f"{where}.{member} is required now." for member in sorted(must_now - must))
            if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
                yield f"{where} takes no other members any more."

    def _old(self, value: Json) -> Json:
        return _resolved(self._before, value)

    def _new(self, value: Json) -> Json:
        return _resolved(self._after, value)


def _reference(schema: Json) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, Mapping) else ""


def _resolved(document: Json, value: Json) -> Json:
    while name := _reference(value):
        value = document
        for part in name.removeprefix("#/").split("/"):
            value = value[part]
    return value if value is not None else {}


def _types(where: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
    was, now = _type_names(old), _type_names(new)
    lost, more = (was, now) if sent else (now, was)
    # What is sent must still be taken, what is read must have been possible before; nothing named is anything.
    if (now if sent else was) and (not lost or not _within(lost, more)):
        yield f"{where} was {_listed(was)} and is {_listed(now)} now."


def _type_names(schema: Json) -> set[str]:
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


def _within(inner: set[str], outer: set[str]) -> bool:
    return all(name in outer or (name == "integer" and "number" in outer) for name in inner)


def _listed(names: set[str]) -> str:
    return " or ".join(sorted(names)) or "anything"


def _values(where: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
    was, now = _allowed(old), _allowed(new)
    if sent and now is not None:
        refused = ["any other value"] if was is None else [value for value in was if value not in now]
        yield from (f"{where} does not take {value!r} any more." for value in refused)
    if not sent and was is not None:
        added = ["any other value"] if now is None else [value for value in now if value not in was]
        yield from (f"{where} may now be {value!r}." for value in added)
    if not sent:
        return
    for limit in (*_LEAST, *_MOST):
        bound, stricter = new.get(limit), limit in _LEAST
        if bound is not None and (old.get(limit) is None or (bound > old[limit] if stricter else bound < old[limit])):
            yield f"{where} has a stricter {limit}: {old.get(limit, 'none')} is now {bound}."
    for rule in ("pattern", "format"):
        if new.get(rule) is not None and new[rule] != old.get(rule):
            yield f"{where} has another {rule}: {old.get(rule, 'none')} is now {new[rule]}."


def _allowed(schema: Json) -> list[Json] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None
