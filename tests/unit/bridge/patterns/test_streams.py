"""hold_end: all of a body goes by as it comes, but its end waits."""

from __future__ import annotations

import pytest

from eduhub_bridge.patterns.streams import hold_end


async def collect(stream, seen):
    async for chunk in stream:
        seen.append(chunk)


@pytest.mark.parametrize(
    ("length", "chunks", "expected"),
    [
        (None, [b"ab", b"c"], [b"ab", b"c", "until"]),
        (3, [b"ab", b"c"], [b"ab", "until", b"c"]),
        (3, [b"abc"], ["until", b"abc"]),
        (0, [], ["until"]),
        (None, [], ["until"]),
        (5, [b"abc"], [b"abc", "until"]),  # shorter than announced: whoever receives it will know
        (2, [b"ab", b"c"], ["until", b"ab", b"c"]),
    ],
)
async def test_the_end_waits_once_and_everything_before_it_does_not(length, chunks, expected):
    seen = []

    async def body():
        for chunk in chunks:
            yield chunk

    async def until():
        seen.append("until")

    await collect(hold_end(body(), length, until), seen)
    assert seen == expected


async def test_what_until_raises_ends_the_body():
    async def body():
        yield b"abc"

    async def until():
        raise LookupError

    seen = []
    with pytest.raises(LookupError):
        await collect(hold_end(body(), 3, until), seen)
    assert seen == []
