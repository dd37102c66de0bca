"""Where a request can go: to Plone itself, or to a bridge before it. Header fields and bytes come back as sent."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

SECONDS = 60.0
PASSWORDS = {"admin": "", "member": "Correct-Horse-9"}  # the administrator's is the container's, told to each door
Address = Union[Path, "tuple[str, int]"]


@dataclass(frozen=True)
class Request:
    """One request, as data.

    Braces hold what differs from door to door, and names that earlier steps of a story kept. `users` are those who
    ask it in turn, `user` is the one who does. `keep` names parts of the answer for later steps: "json:a.0.b",
    "header:location" or "body:". `volatile` are patterns of what differs between two requests to the same Plone.
    """

    method: str
    path: str
    about: str = ""
    json: Any = None
    body: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)
    user: str = ""
    users: tuple[str, ...] = ("anonymous", "member", "admin")
    keep: dict[str, str] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The request in one line, as the tests are called."""
        return f"{self.method} {self.path}" + (f" ({self.about})" if self.about else "")

    def filled(self, kept: dict[str, str]) -> Request:
        """Return the request with every kept name in its place."""
        if not kept:
            return self
        given = {key: _fill(value, kept) for key, value in vars(self).items() if key in ("path", "json", "fields")}
        return Request(**{**vars(self), **given})


def _fill(value: Any, kept: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in kept.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: _fill(each, kept) for key, each in value.items()}
    return [_fill(each, kept) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Answer:
    """What came back: field names in lower case, in the order they came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str:
        """The first value of a field, or nothing."""
        return next((value for key, value in self.fields if key == name), "")

    def json(self) -> Any:
        return json.loads(self.body)


class _Connection(http.client.HTTPConnection):
    def __init__(self, where: Address) -> None:
        super().__init__("unused", timeout=SECONDS)
        self._where = where

    def connect(self) -> None:
        if isinstance(self._where, Path):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(SECONDS)
            self.sock.connect(str(self._where))
        else:
            self.sock = socket.create_connection(self._where, SECONDS)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


WHO = "lovelace"


class Door:
    """`base` is what an unmodified client would be given: http://host[:port]/path of the site.

    `root` stands before the paths of items in queries: behind virtual hosting Plone counts them from the site.
    `who` is a user that nobody was before, since Plone remembers properties of users who were deleted. The name is no
    hexadecimal number and long, so that it stands in no identifier that Plone makes up.
    """

    def __init__(self, base: str, where: Address, admin: str, root: str = "", who: str = f"{WHO}0") -> None:
        self.base, self.root, self.who = base, root, who
        _, _, self.host, self.mount = base.split("/", 3)
        self._passwords = {**PASSWORDS, "admin": admin}
        self._connection = _Connection(where)

    def ask(self, request: Request) -> Answer:
        """Send one request on a kept-alive connection; read the answer to its end."""
        given = request.filled({"base": self.base, "root": self.root, "who": self.who})
        fields = {"accept": "application/json", **{name.lower(): value for name, value in given.fields.items()}}
        body = given.body
        if given.json is not None:
            body = json.dumps(given.json).encode()
            fields.setdefault("content-type", "application/json")
        if body or given.method in ("POST", "PUT", "PATCH"):
            fields.setdefault("content-length", str(len(body)))
        if given.user:
            pair = f"{given.user}:{self._passwords[given.user]}".encode()
            fields["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        connection = self._connection
        try:
            connection.putrequest(given.method, f"/{self.mount}{given.path}", skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self.host)
            for name, value in fields.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            read = answer.read()
        except BaseException:
            connection.close()
            raise
        if given.method == "HEAD":
            connection.close()  # Plone sends a body all the same, and it would be taken for the next answer
        return Answer(answer.status, [(name.lower(), value) for name, value in answer.getheaders()], read)

    def close(self) -> None:
        self._connection.close()
