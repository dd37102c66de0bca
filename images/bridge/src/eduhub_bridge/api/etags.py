"""ETags of content (RFC 9110, section 8.8.3), which Plone 6.0 gives none of itself. Pure."""

from __future__ import annotations

import re
from hashlib import blake2b

from eduhub_bridge.api.models.content import Content

# What changes when somebody else's content does, or with who asks for it.
_NOT_ITS_OWN = frozenset({"next_item", "previous_item", "lock", "parent"})
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def etag(item: Content) -> str:
    """Return the tag: the same while the item's own fields are the same."""
    fields = {name: value for name, value in item.fields.items() if name not in _NOT_ITS_OWN}
    own = item.model_copy(update={"fields": fields}).model_dump_json()
    return f'"{blake2b(own.encode(), digest_size=12).hexdigest()}"'


def matches(field: str, tag: str, *, weak: bool) -> bool:
    """Return whether an If-None-Match (`weak`) or If-Match field holds the tag, or is `*`."""
    if field.strip() == "*":
        return True
    given = _TAG.findall(field)
    return any((each.removeprefix("W/") if weak else each) == tag for each in given)
