"""Before the load, each path is requested once: a wrong path is a wrong option, not a thousand failures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.load import content
from tests.load.client import Client, Exchange, FailedError, Request
from tests.load.options import OptionError, Options

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEDIES = {
    "light": "name another with --light",
    "page": "name others with --page, or leave them out with --page-rate 0",
    "download": "name another with --download, or leave it out with --download ''",
    "slow": "name another with --slow, or leave it out with --slow ''",
    "post": "look at --post-path, --user and --password-file, or leave them out with --post-rate 0",
}


@dataclass(frozen=True)
class References:
    """What answers are compared with: shapes by path, the file's length and digest, and who makes documents."""

    shapes: dict[str, Any]
    file: tuple[int, str]
    credentials: dict[str, str]


async def prepare(options: Options) -> References:
    """Request everything once and return it; raise OptionError for the first wrong answer."""
    client = Client(options.url)
    try:
        shapes = {path: await _shape(client, options, "light", Request("GET", path)) for path in options.light}
        for path in options.pages:
            shapes[path] = await _shape(client, options, "page", Request("GET", path, fields=content.API))
        if options.slow:
            shapes[options.slow] = await _shape(client, options, "slow", content.slowly(options.slow, 0))
        file = content.Download()
        if options.download:
            await _ask(client, options, "download", Request("GET", options.download), file.take)
        credentials = await log_in(client, options) if options.post_rate else {}
        if options.post_rate:
            await _shape(client, options, "post", Request("GET", options.post_path, fields=credentials))
        return References(shapes, file.identity(), credentials)
    finally:
        client.close()


async def log_in(client: Client, options: Options) -> dict[str, str]:
    """Return the header fields of somebody who may make documents; raise OptionError if the login fails."""
    if not options.jwt:
        return content.basic(options.user, options.password)
    request = content.log_in(options.post_path, options.user, options.password)
    try:
        return content.bearer(await _ask(client, options, "post", request))
    except FailedError as error:
        raise OptionError(f"{options.url}{request.path}: {error}; {_REMEDIES['post']}.") from None


async def _shape(client: Client, options: Options, kind: str, request: Request) -> Any:
    exchange = await _ask(client, options, kind, request)
    try:
        return content.shape(exchange)
    except FailedError as error:
        raise OptionError(f"{options.url}{request.path}: {error}; {_REMEDIES[kind]}.") from None


async def _ask(
    client: Client, options: Options, kind: str, request: Request, take: Callable[[bytes], float] | None = None
) -> Exchange:
    """Send `request`, and once more after a second if that failed: a stack may be busy, a wrong path stays wrong."""
    for last in (False, True):
        exchange = Exchange()
        try:
            await client.send(request, exchange, options.timeout, take)
        except FailedError as error:
            if last:
                raise OptionError(
                    f"{request.method} {options.url}{request.path} failed before the load began "
                    f"({error.error}: {error}); {_REMEDIES[kind]}."
                ) from None
            await asyncio.sleep(1)
        else:
            return exchange
    raise AssertionError
