"""The OpenAPI document as one page to read: no script, no file beside it, nothing asked of anybody else.

Bundles that draw such a page in the browser have 0.9 to 3.6 MB, and want a looser Content-Security-Policy.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from typing import Any, Iterator

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { background: Canvas; color: CanvasText; max-width: 60rem; margin: 0 auto; padding: 1rem }
h2, h3 { margin: 2.5rem 0 .5rem; border-top: 1px solid #8888; padding-top: .5rem }
h3 { overflow-wrap: anywhere }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem }
caption { text-align: left; font-weight: bold }
th, td { text-align: left; vertical-align: top; border-top: 1px solid #8884; padding: .3rem 1rem .3rem 0 }
th { white-space: nowrap }
td p { margin: 0 }
nav ul { list-style: none; padding: 0; columns: 20rem }
.wide { overflow-x: auto }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_Node = dict[str, Any]


def page(document: _Node, address: str) -> str:
    """Return the page for an OpenAPI 3.1 document, which is at `address`."""
    title = f"{document['info']['title']} {document['info']['version']}"
    tags: dict[str, list[tuple[str, str, _Node]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    components = document["components"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f'<p><a href="{escape(address)}">OpenAPI document</a>, to generate clients from.</p>',
        _text(document["info"]["description"]),
        "<nav><h2>Endpoints</h2>",
    ]
    for tag, entries in tags.items():
        links = (f"<li>{_link(each['operationId'], f'{method} {path}')}</li>" for method, path, each in entries)
        parts.append(f"<p><b>{escape(tag)}</b></p><ul>{''.join(links)}</ul>")
    parts.append("</nav><main>")
    for tag, entries in tags.items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts.extend(_operation(*entry) for entry in entries)
    parts.append('<h2>Failures</h2><p>Bodies are problem details (RFC 9457).</p><div class="wide"><table>')
    parts.append("<tr><th>Status</th><th>Meaning</th><th>Fields</th></tr>")
    parts.extend(
        f'<tr id="status-{escape(status)}"><th>{escape(status)}</th>'
        f"<td>{_text(answer['description'])}</td><td>{_fields(answer)}</td></tr>"
        for status, answer in sorted(components["responses"].items())
    )
    parts.append("</table></div><h2>Objects</h2>")
    parts.extend(_object(name, schema) for name, schema in sorted(components["schemas"].items()))
    parts.append("</main></body></html>\n")
    return "".join(parts)


def _operation(method: str, path: str, operation: _Node) -> str:
    anonymous = {} in operation["security"]
    return "".join(
        [
            f'<section id="{escape(operation["operationId"])}"><h3><code>{method} {escape(path)}</code></h3>',
            _text(operation["summary"]),
            _text(operation.get("description", "")),
            "" if anonymous else "<p>Needs credentials.</p>",
            _table("Parameters", ("Name", "In", "Type", ""), _parameters(operation)),
            _table("Body", ("Media type", "Type", ""), _bodies(operation.get("requestBody", {}))),
            _table("Answers", ("Status", "Body", "Meaning", "Fields"), _answers(operation["responses"])),
            "<p>Failures: ",
            ", ".join(
                _link(f"status-{status}", status)
                for status, answer in sorted(operation["responses"].items())
                if "$ref" in answer
            ),
            "</p></section>",
        ]
    )


def _parameters(operation: _Node) -> Iterator[tuple[str, ...]]:
    for each in operation.get("parameters", []):
        name = f"<code>{escape(each['name'])}</code>{', required' if each.get('required') else ''}"
        yield name, escape(each["in"]), _type(each["schema"]), _text(each["description"]) + _examples(each)


def _bodies(body: _Node) -> Iterator[tuple[str, ...]]:
    for media, content in body.get("content", {}).items():
        yield f"<code>{escape(media)}</code>", _type(_schema(content)), _text(body.get("description", ""))


def _answers(responses: _Node) -> Iterator[tuple[str, ...]]:
    for status, answer in sorted(responses.items()):
        if "$ref" not in answer:
            bodies = (f"{_type(_schema(each))} as <code>{escape(media)}</code>"
                      for media, each in answer.get("content", {}).items())  # fmt: skip
            yield escape(status), "<br>".join(bodies), _text(answer["description"]), _fields(answer)


def _schema(content: _Node) -> _Node:
    """Return the schema of a body, or that of each line of a stream."""
    lines = content.get("x-itemSchema")
    return {"type": "array", "items": lines} if lines else content["schema"]


def _fields(answer: _Node) -> str:
    return "".join(
        f"<p><code>{escape(name)}</code>: {_inline(each['description'])}</p>"
        for name, each in answer.get("headers", {}).items()
    )


def _object(name: str, schema: _Node) -> str:
    required = schema.get("required", [])
    rows = (
        (
            f"<code>{escape(member)}</code>{', required' if member in required else ''}",
            _type(each),
            _text(each.get("description", "")) + _examples(each),
        )
        for member, each in schema.get("properties", {}).items()
    )
    says = _text(schema.get("description", ""))
    table = _table("", ("Member", "Type", ""), rows)
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{says}{table}</section>'


def _table(caption: str, heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not cells:
        return ""
    head = "".join(f"<th>{each}</th>" for each in heads)
    above = f"<caption>{caption}</caption>" if caption else ""
    return f'<div class="wide"><table>{above}<tr>{head}</tr>{cells}</table></div>'


def _type(schema: _Node) -> str:
    """Return what a schema takes, in words; its pattern is in the document."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _link(name, name)
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " or ".join(_value(each) for each in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        said = f"list of {_type(schema['items'])}" if "items" in schema else "list"
    else:
        said = escape(schema.get("format") or schema.get("type", "any"))
    return said + "".join(
        f", {word} {escape(str(schema[key]))}" for key, word in _LIMITS.items() if key in schema
    ) + (f", {_value(schema['default'])} if left out" if "default" in schema else "")  # fmt: skip


_LIMITS = {
    "minimum": "from", "maximum": "to", "minLength": "length from", "maxLength": "length to", "minItems": "at least",
    "maxItems": "at most",
}  # fmt: skip


def _examples(node: _Node) -> str:
    examples = node.get("examples", [])
    values = [each["value"] for each in examples.values()] if isinstance(examples, dict) else examples
    return f"<p>Example: {' or '.join(_value(each) for each in values)}</p>" if values else ""


def _value(value: Any) -> str:
    return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"


def _link(name: str, shown: str) -> str:
    return f'<a href="#{escape(name)}"><code>{escape(shown)}</code></a>'


def _text(markdown: str) -> str:
    """Return paragraphs; of Markdown, descriptions have bold words and code."""
    return "".join(f"<p>{_inline(each)}</p>" for each in markdown.split("\n\n") if each.strip())


def _inline(text: str) -> str:
    bold = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", bold)
