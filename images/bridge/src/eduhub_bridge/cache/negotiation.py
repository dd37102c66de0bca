"""What a reader's preferences and cookies come to for an anonymous page, so that readers who differ in nothing that
Plone would answer differently share one (RFC 9110, section 12.5; RFC 6265). Pure.

What is made of a field here is also what Plone is sent in its place: see freshness.for_everybody.
"""

from __future__ import annotations

import re
from functools import lru_cache, wraps
from typing import Any, Callable, Iterable, Optional, TypeVar, cast

_Reader = TypeVar("_Reader", bound=Callable[..., Any])

# Cookies by which Plone, its session and its sign-on plugins know a reader, and what it keeps for one: the clipboard,
# messages to be shown once, the skin. `*` stands for any ending. An operator adds to these, and takes none away.
PLONES_COOKIES = (
    "__ac*", "auth_token", "__ginger_snap", "_ZopeId*", "__cp", "statusmessages", "plone_skin", "beaker.session*",
)  # fmt: skip
LANGUAGE_COOKIE = b"I18N_LANGUAGE"
# A name may begin wherever any reader of cookies would begin one: Zope also goes on after a comma or a closing quote.
_BREAKS = rb'[\x00- ;,="]'
_NAME = rb'[^\x00- ;,="]*'
# What `*` stands for in the name of a parameter: no colon, after which Zope reads what to make of the value.
_PARAMETER = rb"[A-Za-z0-9_.~-]*"
_LANGUAGE = re.compile(rb"(?:^|;) *" + LANGUAGE_COOKIE + rb"=(?:\"([A-Za-z_-]{1,16})\"|([A-Za-z_-]{1,16})) *(?=;|$)")
_MENTIONED = re.compile(LANGUAGE_COOKIE, re.IGNORECASE)

# What browsers send when they load a page, each with its own additions for pictures and archives.
_PAGE_TYPES = frozenset({b"text/html", b"application/xhtml+xml", b"application/xml", b"text/xml", b"*/*"})
_PAGE_TYPES_MORE = (b"image/", b"application/signed-exchange")
_PAGE = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_REFUSED = re.compile(rb";[ \t]*q=0(?:\.0*)?[ \t]*(?:,|$)", re.IGNORECASE)
_TAG = re.compile(rb"([a-z]{1,8}(?:-[a-z0-9]{1,8})*)(?:;q=(1(?:\.0{0,3})?|0(?:\.[0-9]{0,3})?))?")
# What is longer is read anew each time: the memory for it would be the client's to fill.
_LONGEST_REMEMBERED = 512
# With more, the steps between their weights would be too small to be written down in one digit.
_MOST_TAGS = 9


class Rules:
    """What an operator says of anonymous readers: further personal cookies, the languages that pages come in, and
    further fields and the parameters of a query that are no part of a page.
    """

    def __init__(
        self, cookies: Iterable[str] = (), languages: Iterable[str] = (), ignored: Iterable[str] = (),
        parameters: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.languages = frozenset(each.lower().replace("_", "-").encode() for each in languages)
        """Empty if any language may be one."""
        names = [re.escape(each.lower().encode()).replace(rb"\*", rb"[!-~]*") for each in ignored]
        self.ignored: Optional[re.Pattern[bytes]] = re.compile(b"|".join(names)) if names else None
        """None if there are no such fields."""
        names = [re.escape(each.encode()).replace(rb"\*", _PARAMETER) for each in parameters]
        # Without a semicolon, after which older Zopes begin another parameter.
        self._parameter = re.compile(rb"(?:%b)(?:=[^;]*)?" % b"|".join(names)) if names else None
        patterns = [_pattern(each) for each in (*PLONES_COOKIES, *cookies)]
        self._personal = re.compile(
            b"(?:^|" + _BREAKS + b")(?:" + b"|".join(patterns) + b")(?=" + _BREAKS + b"|$)", re.IGNORECASE
        )

    def trimmed(self, query: bytes) -> bytes:
        """Return a query without the parameters that are no part of a page, the others byte for byte."""
        if self._parameter is None:
            return query
        return b"&".join(each for each in query.split(b"&") if not self._parameter.fullmatch(each))

    def language_of(self, cookie: bytes) -> Optional[bytes]:
        """Return the cookie that chooses a page's language, empty if there is none; None for a reader known by one."""
        if self._personal.search(cookie):
            return None
        mentioned = len(_MENTIONED.findall(cookie))
        if not mentioned:
            return b""
        chosen = _LANGUAGE.search(cookie)
        # Spelt in any other way, or twice: Plone is to make of it what it makes of it.
        return LANGUAGE_COOKIE + b"=" + (chosen[1] or chosen[2]) if chosen and mentioned == 1 else None


def _pattern(name: str) -> bytes:
    return _NAME.join(re.escape(part.encode()) for part in name.split("*"))


def _remembered(read: _Reader) -> _Reader:
    """Return `read` with its last results at hand, in little memory."""
    at_hand = lru_cache(maxsize=1024)(read)

    @wraps(read)
    def reading(text: bytes, *more: Any) -> Any:
        return (at_hand if len(text) <= _LONGEST_REMEMBERED else read)(text, *more)

    return cast(_Reader, reading)


@_remembered
def accepted(value: bytes) -> bytes:
    """Return what Accept comes to: what browsers ask pages with is one, everything else is itself."""
    types = [each.partition(b";")[0].strip().lower() for each in value.split(b",")]
    page = len(types) > 1 and types[0] == b"text/html" and not _REFUSED.search(value)
    if page and all(each in _PAGE_TYPES or each.startswith(_PAGE_TYPES_MORE) for each in types):
        return _PAGE
    return value


@_remembered
def encoding(value: bytes) -> bytes:
    """Return what Accept-Encoding comes to: gzip, nothing, or itself where even what is not encoded is unwelcome."""
    codings: dict[bytes, bool] = {}
    for each in value.lower().split(b","):
        coding, _, weight = each.replace(b" ", b"").replace(b"\t", b"").partition(b";")
        codings[coding] = not re.fullmatch(rb"q=0(?:\.0*)?", weight)
    if not codings.get(b"identity", codings.get(b"*", True)):
        return value
    return b"gzip" if codings.get(b"gzip") else b""


@_remembered
def languages(value: bytes, supported: frozenset[bytes]) -> bytes:
    """Return what Accept-Language comes to: its languages in their order, of the `supported` ones if these are known.

    As Plone reads them (plone.i18n): `de-at` is `de` where the site has only that. Itself, if it is in no clear order.
    """
    tags: list[bytes] = []
    last = 1.1
    for each in value.lower().replace(b"_", b"-").split(b","):
        match = _TAG.fullmatch(re.sub(rb"[ \t]", b"", each))
        if match is None:
            return value
        weight = float(match[2] or 1)
        if weight >= last or len(tags) >= _MOST_TAGS:
            return value
        last = weight
        if weight:
            tags.append(match[1])
    if supported:
        bases = [tag if tag in supported else tag.partition(b"-")[0] for tag in tags]
        tags = [tag for tag in dict.fromkeys(bases) if tag in supported]
    return b",".join(tag if not place else b"%b;q=0.%d" % (tag, 10 - place) for place, tag in enumerate(tags))
