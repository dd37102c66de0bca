"""Takes a bulk request apart as it comes, a line at a time, into the store: memory stays flat."""

from __future__ import annotations

import hashlib
from typing import AsyncIterator, Awaitable, Callable, List, Tuple

LONGEST_LINE = 4 * 1024 * 1024
MOST_LINES = 100_000
_BATCH_LINES, _BATCH_BYTES = 500, 1 << 20

Keep = Callable[[List[Tuple[int, bytes]]], Awaitable[None]]


class TooLargeError(Exception):
    """More than is taken; the text is for the client."""


async def receive(chunks: AsyncIterator[bytes], keep: Keep, most_bytes: int, salt: bytes) -> Tuple[int, str]:
    """Give every line that is not blank to `keep`, in batches; return how many, and a digest of all and of `salt`.

    Raises TooLargeError, and whatever `chunks` raises when the client leaves.
    """
    digest = hashlib.sha256(salt)
    batch: List[Tuple[int, bytes]] = []
    count = size = total = 0
    async for line in lines(chunks, most_bytes):
        if count >= MOST_LINES:
            raise TooLargeError(f"There are more than {MOST_LINES} operations: send several requests.")
        digest.update(line + b"\n")
        batch.append((count, line))
        count, size, total = count + 1, size + len(line), total + len(line)
        if len(batch) >= _BATCH_LINES or size >= _BATCH_BYTES:
            await keep(batch)
            batch, size = [], 0
    if batch:
        await keep(batch)
    return count, digest.hexdigest()


async def lines(chunks: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Yield the lines without their ends and without blank ones; the last may lack its end."""
    rest = bytearray()
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > most_bytes:
            raise TooLargeError(f"The request is longer than {most_bytes} bytes: send several.")
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            rest += line
            if rest.strip():
                yield bytes(rest.strip())
            rest.clear()
        rest += tail
        if len(rest) > LONGEST_LINE:
            raise TooLargeError(f"A line is longer than {LONGEST_LINE} bytes.")
    if rest.strip():
        yield bytes(rest.strip())
