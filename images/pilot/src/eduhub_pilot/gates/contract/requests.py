"""What the gate `contract` asks, and what of the answers it compares: contract.json, and more by the inventory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from eduhub_pilot.gates.contract.allow_list import Allowance, covers, fits, parse_allowed
from eduhub_pilot.model.described import default
from eduhub_pilot.model.errors import SettingError
from eduhub_pilot.model.release import Spec

# A gate asks a release that real people use: it reads.
METHODS = ("GET", "HEAD", "OPTIONS")
CREDENTIALS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# What HTTP's field names are made of (RFC 9110, section 5.6.2), in short.
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True)
class Request:
    """One request; `credentials` names the file that holds them."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    credentials: str | None = None

    @property
    def named(self) -> str:
        """The request in words: what tells it from others on the same path."""
        accept = next((value for name, value in self.headers if name.lower() == "accept"), None)
        more = [accept] if accept else []
        more += [f"as {self.credentials}"] if self.credentials else []
        return f"{self.method} {self.path}" + (f" ({', '.join(more)})" if more else "")


@dataclass(frozen=True)
class Ignored:
    """A place in answers that, with all below it, means nothing; both are patterns with `*` and `?`."""

    path: str
    where: str

    def fits(self, path: str, where: str) -> bool:
        return fits(self.path, path) and covers(self.where, where)


@dataclass(frozen=True)
class ContractCriteria:
    """What is asked and compared: `headers` by value, `presence` only whether they are there; `seconds` for all.

    `sampled`: how many requests more at most from the edge's log. `pause`: seconds between answers to one request;
    two are longer than a bridge caches by default, so that a difference of cache age has ended by then.
    """

    requests: tuple[Request, ...] = ()
    headers: tuple[str, ...] = ()
    presence: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    allowed: tuple[Allowance, ...] = ()
    seconds: float = default("pilot_contract_seconds")
    sampled: int = default("pilot_contract_sampled")
    pause: float = 0.6


def contract_criteria(
    spec: Spec | None, requests: list[Any], headers: list[str], ignored: list[Any], allowed: list[Any], seconds: float,
    sampled: int = default("pilot_contract_sampled"),
) -> ContractCriteria:
    """Return what is asked of a release of `spec`; SettingError names the entry that makes no sense."""
    shipped = json.loads(resources.files(__package__).joinpath("contract.json").read_text())
    own = [_request(each) for each in requests]
    pages = [Request(path) for path in (spec.fields.get("smoke_paths") or [])] if spec else []
    # An image whose Python is chosen here is ours, or made like ours; of others only the institution knows what to ask.
    ours = [_request(each) for each in shipped["requests"]] if spec and spec.python else []
    if bad := [name for name in headers if not HEADER.fullmatch(name)]:
        raise SettingError(f"pilot_contract_headers has {bad[0]!r}, which is no header's name.")
    return ContractCriteria(
        requests=tuple(dict.fromkeys([*pages, *ours, *own])),
        headers=tuple(dict.fromkeys(name.lower() for name in [*shipped["headers"], *headers])),
        presence=tuple(name for name in shipped["presence"] if name not in {each.lower() for each in headers}),
        ignored=tuple(_ignored(each) for each in [*shipped["ignored"], *ignored]),
        allowed=parse_allowed(allowed, "pilot_contract_allowed"),
        seconds=seconds,
        sampled=sampled,
    )


def _request(given: Any) -> Request:
    form = "An entry of pilot_contract_requests looks like {path: /courses?page=2, headers: {Accept: text/html}}"
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        raise SettingError(f"{form}; {given!r:.80} names no path.")
    path, method, headers = given["path"], given.get("method", "GET"), given.get("headers") or {}
    credentials = given.get("credentials")
    if strange := sorted(set(given) - {"path", "method", "headers", "credentials"}):
        raise SettingError(f"{form}; it has no {strange[0]!r}.")
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise SettingError(f"{form}; {path!r} is no path: it starts with / and what is not ASCII is percent-encoded.")
    if method not in METHODS:
        raise SettingError(f"{form}; {method!r} is none of {', '.join(METHODS)}: a gate only reads.")
    if not isinstance(headers, dict) or not all(_header(*pair) for pair in headers.items()):
        raise SettingError(f"{form}; the headers of {path!r} are no mapping of names to texts of one line.")
    if any(name.lower() == "authorization" for name in headers):
        raise SettingError(
            f"{form}; {path!r} has an Authorization header, which would stand in logs. Put `user:password` or "
            "`Bearer TOKEN` into a file below secrets/ of the configuration and name it: {credentials: FILE}."
        )
    if credentials is not None and not (isinstance(credentials, str) and CREDENTIALS.fullmatch(credentials)):
        raise SettingError(f"{form}; {credentials!r} is no name of a file.")
    return Request(path, method, tuple(sorted(headers.items())), credentials)


def _header(name: Any, value: Any) -> bool:
    return isinstance(name, str) and bool(HEADER.fullmatch(name)) and isinstance(value, str) and value.isprintable()


def _ignored(given: Any) -> Ignored:
    if not isinstance(given, dict) or not all(isinstance(given.get(name), str) for name in ("path", "where")):
        raise SettingError(
            f"An entry of pilot_contract_ignored looks like {{path: /courses*, where: body.token}}, not {given!r:.80}."
        )
    return Ignored(given["path"], given["where"])


def credentials_of(requests: Iterable[Request]) -> list[str]:
    """Return the names of the files that hold credentials, each once."""
    return list(dict.fromkeys(each.credentials for each in requests if each.credentials))


def authorization(text: str) -> Mapping[str, str]:
    """Return the header for a credentials file's content: `user:password`, or a whole value such as `Bearer TOKEN`."""
    import base64  # noqa: PLC0415

    value = text.strip()
    if " " not in value and ":" in value:
        value = "Basic " + base64.b64encode(value.encode()).decode()
    return {"Authorization": value}
