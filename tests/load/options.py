"""The command line of the load generator, checked: one sentence for anything wrong."""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a stack with the sample content offers.
LIGHT = ["/health/live"]
PAGES = [
    "/plone/",
    "/plone/courses",
    "/plone/courses/linear-algebra",
    "/plone/courses/linear-algebra/eigenvalues",
    "/plone/@search?SearchableText=data&b_size=10",
]
DOWNLOAD = "/plone/courses/media/lecture.bin/@@download/file"
SLOW = "/plone/@querystring-search"
POSTS = "/plone/submissions"


class OptionError(Exception):
    """An option is wrong, or the stack does not answer as the options expect; the text is one sentence."""


@dataclass(frozen=True)
class Options:
    """What to do. Rates are arrivals a second; 0, or an empty path, leaves a stream out."""

    url: str
    seconds: float
    rate: float
    light: tuple[str, ...]
    page_rate: float
    pages: tuple[str, ...]
    post_rate: float
    post_path: str
    download: str
    download_seconds: float
    slow: str
    slow_seconds: float
    timeout: float
    seed: int
    user: str
    password: str
    jwt: bool
    until_file: Path | None
    out: Path | None
    events: Path | None
    audit: Path | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message}; --help lists the options.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tests.load", description="Load on a stack, and an exact account of every failure.")
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8080", help="where the stack answers; or unix:/path (%(default)s)")
    add("--anywhere", action="store_true", help="allow a target that is not this machine")
    add("--seconds", type=float, default=60.0, help="how long requests arrive (%(default)s)")
    add("--until-file", type=Path, metavar="PATH", help="stop earlier, as soon as this file exists")
    add("--rate", type=float, default=50.0, help="light requests a second (%(default)s)")
    add("--light", action="append", metavar="PATH", help=f"a light path; repeatable ({LIGHT[0]})")
    add("--light-only", metavar="PATH", help="this light path and no other stream")
    add("--page-rate", type=float, default=4.0, help="page requests a second (%(default)s)")
    add("--page", action="append", metavar="PATH", help="a page; repeatable (of the sample content)")
    add("--post-rate", type=float, default=1.5, help="documents made a second; needs --password-file (%(default)s)")
    add("--post-path", default=POSTS, metavar="PATH", help="folder they are made in (%(default)s)")
    add("--user", default="admin", help="who makes them (%(default)s)")
    add("--password-file", type=Path, metavar="PATH", help="file that holds the password")
    add("--jwt", action="store_true", help="log in once and send the token instead of the password")
    add("--download", default=DOWNLOAD, metavar="PATH", help="file to read; '' for none (%(default)s)")
    add("--download-seconds", type=float, default=10.0, help="how long reading it lasts (%(default)s)")
    add("--slow", default=SLOW, metavar="PATH", help="path that takes a slow POST; '' for none (%(default)s)")
    add("--slow-seconds", type=float, default=5.0, help="how long sending its body lasts (%(default)s)")
    add("--timeout", type=float, default=30.0, help="seconds an answer may take, beyond those on purpose (%(default)s)")
    add("--seed", type=int, default=1, help="for the order of pages (%(default)s)")
    add("--out", type=Path, metavar="PATH", help="where the result goes, as JSON, instead of standard output")
    add("--events", type=Path, metavar="PATH", help="where a JSON line for each request goes")
    add("--audit", type=Path, metavar="PATH", help="no load: compare an earlier result's documents with Plone's")
    return parser


def parse(argv: Sequence[str]) -> Options:
    """Return the checked options; raise OptionError."""
    given = _parser().parse_args(argv)
    _between("--seconds", given.seconds, 0.1, 7200)
    _between("--rate", given.rate, 0.1, 500)
    _between("--page-rate", given.page_rate, 0, 50)
    _between("--post-rate", given.post_rate, 0, 2)
    _between("--download-seconds", given.download_seconds, 0.1, 600)
    _between("--slow-seconds", given.slow_seconds, 0.1, 600)
    _between("--timeout", given.timeout, 0.1, 600)
    alone = given.light_only is not None
    if alone and given.light:
        raise OptionError("--light and --light-only exclude each other: keep one of them.")
    light = [given.light_only] if alone else given.light or LIGHT
    pages = [] if alone or not given.page_rate else given.page or PAGES
    download, slow = ("", "") if alone else (given.download, given.slow)
    posting = given.password_file is not None and not alone and given.post_rate > 0
    for path in [*light, *pages, given.post_path, *filter(None, (download, slow))]:
        if not path.startswith("/") or not path.isprintable() or " " in path or not path.isascii():
            raise OptionError(f"{path!r} is no path: it begins with / and is percent-encoded.")
    return Options(
        url=_target(given.url, anywhere=given.anywhere),
        seconds=given.seconds, rate=given.rate, light=tuple(light), page_rate=given.page_rate if pages else 0.0,
        pages=tuple(pages), post_rate=given.post_rate if posting else 0.0, post_path=given.post_path.rstrip("/"),
        download=download, download_seconds=given.download_seconds, slow=slow, slow_seconds=given.slow_seconds,
        timeout=given.timeout, seed=given.seed, user=given.user, password=_password(given.password_file),
        jwt=given.jwt, until_file=given.until_file, out=given.out, events=given.events, audit=given.audit,
    )  # fmt: skip


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise OptionError(f"{name} is {value:g}: give a number from {low:g} to {high:g}.")


def _target(url: str, *, anywhere: bool) -> str:
    if url.startswith("unix:/"):
        return url
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise OptionError(f"--url {url!r} is no address: {error}.") from None
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise OptionError(f"--url {url!r} is no plain address: give one such as http://127.0.0.1:8080.")
    if not anywhere and not _is_here(host):
        raise OptionError(f"--url {url!r} is not this machine: add --anywhere if it is yours to put load on.")
    return f"{parts.scheme}://{parts.netloc}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise OptionError(f"--password-file {str(file)!r} cannot be read: {why}.") from None
    if not password:
        raise OptionError(f"--password-file {str(file)!r} is empty.")
    return password
