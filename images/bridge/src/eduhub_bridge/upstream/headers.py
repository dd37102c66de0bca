"""Which header fields travel on (RFC 9110, section 7.6.1). Pure functions."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Iterable, Optional

from eduhub_bridge.upstream.addresses import RefusedError

Raw = Iterable["tuple[bytes, bytes]"]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# Fields a client cannot disown by naming them in Connection: framing and addresses are not its to drop.
_NOT_DROPPABLE = frozenset(
    {b"content-length", b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"forwarded", b"via"}
)
# Host is set for Plone's own address, Expect is answered by our own server, proxy credentials end here.
_NOT_FOR_PLONE = HOP_BY_HOP | {b"host", b"expect", b"proxy-authorization"}
# A browser sends these whatever another application of the same domain has put into them, such as a name in Latin-1
# into a cookie: that is not its user's fault, and nothing that Plone understands is written so.
_OF_OTHERS = frozenset({b"cookie", b"referer", b"user-agent"})
_FORWARDED_FOR = b"x-forwarded-for"
# A WebSocket begins as a request of HTTP. Traefik names its scheme by what it becomes.
_OF_WEBSOCKETS = {"ws": "http", "wss": "https"}
# What a provider gives one customer at least (RFC 6177), who may use a new address for each request.
_CLIENT_BITS = 64
# What our own server sends in no value: it would cut the connection (uvicorn).
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What we say of ourselves.
VIA = ("via", "1.1 eduhub-bridge")


@dataclass(frozen=True)
class Request:
    """What a client's header section says: fields for Plone, where it believes to be, whether a body follows."""

    fields: list[tuple[str, str]]
    scheme: str
    host: str
    has_body: bool


def request(raw: Raw, scheme: str) -> Request:
    """Return what to send to Plone; raise RefusedError for fields that cannot be passed on or contradict themselves."""
    fields: list[tuple[str, str]] = []
    single: dict[bytes, bytes] = {}
    named: set[bytes] = set()
    has_body = False
    for name, value in raw:
        if name in (b"host", b"x-forwarded-host", b"x-forwarded-proto"):
            if single.setdefault(name, value) != value:
                raise RefusedError(f"{name.decode()} is given twice.")
        elif name == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
        elif name == b"transfer-encoding":
            has_body = True
        elif name == b"content-length":
            has_body = has_body or value != b"0"
        if name not in _NOT_FOR_PLONE:
            try:
                text = value.decode("utf-8") if name not in _OF_OTHERS else _in_utf_8(value)
                fields.append((name.decode("ascii"), text))
            except UnicodeDecodeError:
                raise RefusedError(f"{name.decode('latin-1')} holds bytes that are not UTF-8.") from None
    named -= _NOT_DROPPABLE
    if named - HOP_BY_HOP:
        fields = [field for field in fields if field[0].encode() not in named]
    fields.append(VIA)
    host = single.get(b"x-forwarded-host") or single.get(b"host", b"")
    scheme = (single.get(b"x-forwarded-proto", b"").decode("latin-1") or scheme).lower()
    return Request(fields, _OF_WEBSOCKETS.get(scheme, scheme), host.decode("latin-1"), has_body)


def _in_utf_8(value: bytes) -> str:
    """Return a value each piece of which is UTF-8, or else is taken for Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return ";".join(map(_piece, value.split(b";")))


def _piece(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def request_id(raw: Raw) -> Optional[str]:
    """Return the id by which the edge's log and Plone know this request; None without one."""
    given = next((value for name, value in raw if name == b"x-request-id"), None)
    return given.decode("latin-1") if given else None


def client(raw: Raw) -> str:
    """Return the address of the client as the edge tells it, for limits; empty for who is not the public.

    That of IPv6 is its network, of which one client has all addresses.
    """
    return address(b",".join(value for name, value in raw if name == _FORWARDED_FOR).decode("latin-1"))


def forwarded(raw: Raw) -> list[tuple[str, str]]:
    """Return of a header section only what `client` needs, decoded."""
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in raw if name == _FORWARDED_FOR]


@lru_cache(maxsize=4096)
def address(forwarded_for: str) -> str:
    """Return the client's address of what X-Forwarded-For says, as `client` does.

    The edge says who connected to it. Where that is a trusted proxy, the one before is whom the proxy speaks for.
    """
    named = [each.strip() for each in forwarded_for.split(",")][-2:][0]
    if named.count(":") == 1:  # some proxies say the port, too
        named = named.partition(":")[0]
    elif named.startswith("["):
        named = named[1:].partition("]")[0]
    elif ":" not in named:
        return named
    try:
        read = ipaddress.ip_address(named.partition("%")[0])
    except ValueError:
        return named
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    if read.ipv4_mapped:
        return str(read.ipv4_mapped)
    if read.is_loopback:
        return str(read)
    return str(ipaddress.ip_network((read, _CLIENT_BITS), strict=False))


def alone(raw: Raw) -> Optional[str]:
    """Return the Authorization that alone says whose request it is; None without one, or beside Plone's session cookie.

    With both, Plone may have taken either.
    """
    named = list(raw)
    cookies = b";".join(value for name, value in named if name == b"cookie").split(b";")
    if any(cookie.lstrip().startswith(b"__ac") for cookie in cookies):
        return None
    given = [value for name, value in named if name == b"authorization"]
    return given[0].decode("latin-1") if len(given) == 1 else None


def foreign(raw: Raw) -> bool:
    """Return whether a browser sent this for a page of another site (RFC 6454).

    A password that it remembers goes along without anybody's having asked for that, on WebSockets too.
    """
    named = dict(raw)
    origin = named.get(b"origin")
    if origin is None:
        return False
    return _place(origin.partition(b"://")[2]) != _place(named.get(b"x-forwarded-host") or named.get(b"host", b""))


def _place(authority: bytes) -> bytes:
    # Without the port that goes without saying, whichever: who ended TLS before us is not told to everybody.
    return authority.lower().removesuffix(b":443").removesuffix(b":80")


def response(raw: Raw, status: int) -> list[tuple[bytes, bytes]]:
    """Return the fields for the client, in Plone's order, names in lower case, repeated ones kept.

    A control character in a value, as of a file's name, is a space (RFC 9110, section 5.5).
    """
    fields = [(name.lower(), _CONTROL.sub(b" ", value)) for name, value in raw]
    drop = HOP_BY_HOP
    for name, value in fields:
        if name == b"connection":
            drop = drop | {token.strip().lower() for token in value.split(b",")} - _NOT_DROPPABLE
        elif name == b"transfer-encoding":
            # Of two framings the chunked one counts (RFC 9112, section 6.3).
            drop = drop | {b"content-length"}
    if status in (204, 304):
        # No body follows; a length would make the server wait for one.
        drop = drop | {b"content-length"}
    return [field for field in fields if field[0] not in drop]
