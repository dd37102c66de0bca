"""JSON as clients and Plone send it. Pure."""

from __future__ import annotations

from typing import Any

import orjson

# orjson reads 1024 levels and writes 255: what is read is passed on, with some levels of ours around it.
MOST_LEVELS = 200


def read(text: bytes) -> Any:
    """Return the document in `text`, one that can also be written; raise orjson.JSONDecodeError, a ValueError.

    Stricter than the standard library: no NaN, no half characters, at most MOST_LEVELS lists and objects in another.
    """
    document = orjson.loads(text)
    # Most have fewer in all, which is faster to count.
    if text.count(b"[") + text.count(b"{") > MOST_LEVELS and _deeper(document):
        raise orjson.JSONDecodeError(f"nested deeper than {MOST_LEVELS} levels", "", 0)
    return document


def _deeper(document: Any) -> bool:
    level = [document]
    for _ in range(MOST_LEVELS):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return False
    return True
