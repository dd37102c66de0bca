"""Saturation by h2load: as many requests as go through, of which only throughput and CPU per request mean anything.

It is closed-loop: a connection waits for its answer before it asks again. Its latencies are therefore not read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder import Refusal
from tests.bench import VoidError

PROGRAM = "h2load"
PACKAGE = "nghttp2-client"
_RATE = re.compile(r"^finished in ([\d.]+)(s|ms|us), ([\d.]+) req/s", re.MULTILINE)
_DONE = re.compile(r"^requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", re.MULTILINE)
_STATUS = re.compile(r"^status codes: (\d+) 2xx", re.MULTILINE)


@dataclass(frozen=True)
class Saturated:
    """One run: requests that went well, and how many of them a second."""

    requests: int
    rate: float


def ensure() -> None:
    """Install h2load where it is missing and we may; raise Refusal where not."""
    if shutil.which(PROGRAM):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise Refusal(f"{PROGRAM} is missing, which measures saturation; type: sudo apt-get install {PACKAGE}")
    words = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", PACKAGE]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, capture_output=True, check=False)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not shutil.which(PROGRAM):
        why = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        raise Refusal(f"apt-get could not install {PACKAGE} ({why}); repair apt, or install it by hand.")


def command(socket: Path, paths: Path, requests: int, connections: int, *fields: str, seconds: float = 0) -> list[str]:
    """Return the words that ask for the addresses in the file `paths` in turn, over HTTP/1.1; for JSON by default.

    They ask `requests` times, or for `seconds` where these are given.
    """
    accept = () if any(each.startswith("accept:") for each in fields) else ("accept: application/json",)
    headers = [word for each in (*accept, *fields) for word in ("-H", each)]
    return [
        PROGRAM, "--h1", f"--base-uri=unix:{socket}", f"--input-file={paths}",
        f"--duration={seconds:g}" if seconds else f"--requests={requests}", f"--clients={connections}",
        "--connection-inactivity-timeout=30", *headers,
    ]  # fmt: skip


def run(
    socket: Path, paths: Sequence[str], requests: int, connections: int, scratch: Path, *fields: str, seconds: float = 0
) -> Saturated:
    """Send `requests`, or for `seconds`, for `paths` in turn; raise VoidError unless each of them got an answer 2xx."""
    file = scratch / "addresses"
    file.write_text("".join(f"http://bridge.test{path}\n" for path in paths), encoding="utf-8")
    words = command(socket, file, requests, connections, *fields, seconds=seconds)
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        raise VoidError(f"What asked for {paths[0]} did not end within 300 s.") from None
    return parse(done.stdout + done.stderr, paths[0])


def parse(text: str, what: str) -> Saturated:
    """Return what h2load's `text` says; raise VoidError where a request for `what` failed."""
    rate, counts, good = _RATE.search(text), _DONE.search(text), _STATUS.search(text)
    if not (rate and counts and good):
        raise VoidError(f"h2load says nothing that can be read about {what}: {text.strip()[-200:]!r}")
    # One more may be answered as the time ends, which is not counted among all.
    if int(good[1]) < int(counts[1]) or int(counts[3]):
        raise VoidError(f"{int(counts[1]) - int(good[1])} of {counts[1]} requests for {what} were not answered well.")
    return Saturated(int(good[1]), float(rate[3]))
