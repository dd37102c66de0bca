"""The command: options in, one JSON object out, a summary for people on standard error."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.load.audit import audit
from tests.load.client import Client
from tests.load.options import OptionError, Options, parse
from tests.load.prepare import log_in, prepare
from tests.load.streams import Load
from tests.load.summary import message, table

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Run the load generator in a loop of its own; return the exit code of `execute`."""
    return asyncio.run(execute(argv))


async def execute(argv: Sequence[str]) -> int:
    """Run the load generator; return 0 if nothing failed, 1 if something did, 2 for wrong options.

    Prints one JSON object: the result, or only exit, message and changed where --out takes the result.
    """
    try:
        options = parse(argv)
        result = await (_again(options) if options.audit else _load(options))
    except OptionError as error:
        result = {"exit": 2, "message": str(error), "changed": False}
        print(f"load: {error}", file=sys.stderr)
        print(json.dumps(result))
        return 2
    print(table(result), file=sys.stderr)
    if options.out:
        _write(options.out, json.dumps(result, indent=1) + "\n")
        print(json.dumps({key: result[key] for key in ("exit", "message", "changed")}))
    else:
        print(json.dumps(result))
    return int(result["exit"])


async def _load(options: Options) -> dict[str, Any]:
    for path in (options.out, options.events):
        if path and not path.absolute().parent.is_dir():
            raise OptionError(f"{str(path)!r} cannot be written: {str(path.absolute().parent)!r} is no directory.")
    loop = asyncio.get_running_loop()
    load: Load | None = None
    this = asyncio.current_task()

    def on_signal() -> None:
        if load:
            load.stop("signal")
        elif this:
            this.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        references = await prepare(options)
    except asyncio.CancelledError:
        raise OptionError("Stopped before the load began.") from None
    # A word of its own, so that Plone's full-text index finds exactly this run.
    word = "run" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(10))
    events = _open(options.events)
    try:
        load = Load(options, references, word, events)
        started = datetime.now(UTC)
        await load.play()
    finally:
        if events:
            events.close()
    result = _result(options, load, started)
    if load.posts:
        result["audit"] = await audit(
            options.url, options.post_path, word, load.posts, references.credentials, options.timeout
        )
    return _judged(result)


def _result(options: Options, load: Load, started: datetime) -> dict[str, Any]:
    end = load.tally.start + load.seconds
    return {
        "schema": 1,
        "changed": bool(load.posts),
        "url": options.url,
        "run": load.run,
        "seed": options.seed,
        "started": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": round(load.seconds, 3),
        "stopped_by": load.stopped_by,
        "rate": options.rate,
        **load.tally.summary(end),
        "skipped_posts": load.skipped_posts,
        "lag_ms": round(load.lag * 1000, 1),
        "posts": load.posts,
        "audit": None,
    }


def _judged(result: dict[str, Any]) -> dict[str, Any]:
    good = not result["failed"] and not any((result["audit"] or {}).values())
    return {**result, "exit": 0 if good else 1, "message": message(result)}


async def _again(options: Options) -> dict[str, Any]:
    """Return an earlier result with a new audit."""
    try:
        earlier = _read(options.audit)
        run, posts = earlier["run"], earlier["posts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"--audit {str(options.audit)!r} holds no result of a load: {error}.") from None
    if not options.password:
        raise OptionError("--audit needs --password-file: only an account that may read the documents can count them.")
    client = Client(options.url)
    try:
        fields = await log_in(client, options)
    finally:
        client.close()
    found = await audit(options.url, options.post_path, run, posts, fields, options.timeout)
    return _judged({**earlier, "changed": False, "audit": found})


def _open(path: Path | None) -> IO[str] | None:
    try:
        return path.open("w", encoding="utf-8", buffering=1) if path else None
    except OSError as error:
        raise OptionError(f"--events {str(path)!r} cannot be written: {error.strerror}.") from None


def _read(path: Path | None) -> Any:
    return json.loads(Path(str(path)).read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
