"""h2load is read by what it counts, and a request that failed makes its run void."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import Refusal
from tests.bench import VoidError, saturation

TEXT = """
finished in 52.01ms, 5767.35 req/s, 1.12MB/s
requests: 300 total, 300 started, 300 done, {good} succeeded, {bad} failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, {bad} 4xx, 0 5xx
"""


def test_throughput_is_read():
    assert saturation.parse(TEXT.format(good=300, bad=0), "/") == saturation.Saturated(300, 5767.35)


@pytest.mark.parametrize(
    ("text", "said"),
    [(TEXT.format(good=299, bad=1), "1 of 300 requests for /x"), ("h2load: bad option", "nothing that can be read")],
)
def test_what_failed_is_void(text, said):
    with pytest.raises(VoidError, match=said):
        saturation.parse(text, "/x")


def test_the_socket_and_the_bounds_are_on_the_command_line():
    words = saturation.command(Path("/d.sock"), Path("/addresses"), 300, 8, "x: y")
    assert {"--h1", "--base-uri=unix:/d.sock", "--input-file=/addresses", "--requests=300", "--clients=8"} <= set(words)
    assert words[-4:] == ["-H", "accept: application/json", "-H", "x: y"]
    words = saturation.command(Path("/d.sock"), Path("/addresses"), 300, 8, "accept: text/html")
    assert words[-2:] == ["-H", "accept: text/html"]
    assert words.count("-H") == 1
    words = saturation.command(Path("/d.sock"), Path("/addresses"), 0, 8, seconds=2.5)
    assert "--duration=2.5" in words
    assert not any(word.startswith("--requests") for word in words)


def test_a_missing_tool_is_one_sentence_for_somebody_who_may_not_install(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(Refusal, match="sudo apt-get install nghttp2-client"):
        saturation.ensure()
