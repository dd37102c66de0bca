"""Anonymous readers as a site has them: browsers, through a CDN too, a crawler and an app; and an editor who saves.

Each kind of reader is an h2load of its own, all at once, since h2load sends the same fields with every request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.bench import VoidError, saturation
from tests.bench.saturation import Saturated
from tests.load.client import Client, Request

PAGE = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
BROTLI, GZIP = "accept-encoding: gzip, deflate, br, zstd", "accept-encoding: gzip"
MOZILLA = "user-agent: Mozilla/5.0 (X11; Linux x86_64"
READERS: dict[str, tuple[str, ...]] = {
    "an analytics cookie, through a CDN": (
        PAGE, BROTLI, f"{MOZILLA}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "accept-language: en-GB,en;q=0.9", "cookie: _pk_id.1.1fff=0a1b2c3d4e5f.1764400000; _pk_ses.1.1fff=1",
        "cf-ray: 8e9d7c6b5a4f3210-FRA", "cf-connecting-ip: 192.0.2.7", "sec-fetch-mode: navigate",
    ),
    "a consent cookie, another language": (
        PAGE, BROTLI, f"{MOZILLA}; rv:133.0) Gecko/20100101 Firefox/133.0", "accept-language: de,en-US;q=0.7,en;q=0.3",
        "cookie: cookieconsent_status=allow", "dnt: 1", "sec-fetch-mode: navigate", "upgrade-insecure-requests: 1",
    ),
    "a third language, traced": (
        PAGE, BROTLI, f"{MOZILLA}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        "accept-language: fr-FR,fr;q=0.9", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    "a crawler": (
        "accept: */*", GZIP, "user-agent: Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "from: bingbot(at)microsoft.com",
    ),
    "an app": ("accept: application/json", GZIP, "user-agent: campus-app/4.2 okhttp/4.12.0", "accept-language: en"),
}  # fmt: skip
# How often the editor saves, beginning with the first request. It is a busy day's work: 360 times an hour.
WRITE_SECONDS = 10.0
_CONNECTIONS = 2


def read(socket: Path, paths: Sequence[str], seconds: float, scratch: Path, token: str) -> Saturated:
    """Let all readers ask for `paths` for `seconds`, while an editor with `token` saves the first of them.

    Returns the readers' requests together. Raises VoidError where one of them failed, FailedError where a save did.
    """
    with ThreadPoolExecutor(len(READERS)) as pool:
        begun = time.perf_counter()
        readers = []
        for number, fields in enumerate(READERS.values()):
            folder = scratch / f"reader{number}"
            folder.mkdir(exist_ok=True)
            asks = partial(saturation.run, socket, paths, 0, _CONNECTIONS, folder, *fields, seconds=seconds)
            readers.append(pool.submit(asks))
        asyncio.run(_edit(Client(f"unix:{socket}"), paths[0], token, readers))
        done = [reader.result() for reader in readers]
        taken = time.perf_counter() - begun
    total = sum(one.requests for one in done)
    if not total:
        raise VoidError(f"Nobody who asked for {paths[0]} had an answer within {seconds:.0f} s.")
    return Saturated(total, total / taken)


async def _edit(client: Client, path: str, token: str, readers: Sequence[Future[Saturated]]) -> None:
    """Save a page every WRITE_SECONDS as long as somebody reads."""
    fields = {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    ended = asyncio.gather(*map(asyncio.wrap_future, readers), return_exceptions=True)
    number = 0
    while not ended.done():
        number += 1
        page = Request("PATCH", path, fields=fields, body=json.dumps({"title": f"Saved {number} times"}).encode())
        await client.expect(page.encoded("localhost", keep=True), 204)
        await asyncio.wait([ended], timeout=WRITE_SECONDS)
    client.close()
