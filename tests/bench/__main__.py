"""The door: options in, a report out. Exit code 0; 1 where a part is void; 2 and a sentence where refused."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from builder import Refusal, cache
from builder.catalogue import Image, load
from builder.engine import Engine
from tests.bench import VoidError, conditions, goals, http, inprocess, plot, saturation, site, tables
from tests.bench.compare import BASE, CONTROL, OTHER
from tests.bench.plan import FULL, PARTS, Plan, about_seconds, chosen_plan, parts
from tests.bench.stage import Stage, bridges, demand, open_stage
from tests.load.client import FailedError

REPORTS = conditions.CHECKOUT / "reports" / "bench"
DOES = "Measure the bridge: its Pythons against each other, its cost, the latency that it adds, a real Plone behind it."


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise Refusal with argparse's reason."""
        raise Refusal(f"{message}; --help names the options.")


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line as values; raise Refusal where it makes no sense."""
    parser = Parser(prog="bench", description=DOES, allow_abbrev=False)
    parser.add_argument("--only", default="", metavar="PARTS", help=f"some of {', '.join(PARTS)}; without it all")
    parser.add_argument("--quick", action="store_true", help="about a minute in all; its numbers are only indicative")
    parser.add_argument("--rounds", default="", metavar="N", help=f"rounds of a comparison; without it {FULL.rounds}")
    parser.add_argument("--from", default="", dest="older", metavar="PYTHON", help="without it the oldest")
    parser.add_argument("--to", default="", dest="newer", metavar="PYTHON", help="without it the newest")
    return parser.parse_args(words)


class Bench:
    """One run: the images, a stage, a plan, and what to call for each part."""

    def __init__(self, plan: Plan, chosen: Sequence[str], older: str = "", newer: str = "") -> None:
        self.plan, self.chosen = plan, chosen
        images = load()
        self.pair = bridges(images, older, newer)
        self.engine = Engine()
        self.edge = next(image for image in images if image.name == "edge")
        self.plone = next(image for image in images if image.name == "plone")
        self.facts = demand(self.engine, self._needed())
        if "http" in chosen or "plone" in chosen:
            saturation.ensure()
        self.libraries = (
            {image.tag: inprocess.library(self.engine, image) for image in self.pair} if "in-process" in chosen else {}
        )
        self._begun = time.monotonic()
        self._site: site.Site | None = None

    def _needed(self) -> list[Image]:
        others = [self.edge] if set(self.chosen) - {"in-process"} else []
        return [*self.pair, *others, *([self.plone] if "plone" in self.chosen else [])]

    def run(self, stage: Stage) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the report's document and pyperf's own."""
        before, begun = conditions.load(), datetime.now(UTC)
        said = conditions.gather(self.facts, stage.engine())
        if self.plan.quick and "plone" in self.chosen:
            self._site = site.start(stage, self.plone)  # beside the other parts: half a minute of a quick run's one
        raw: dict[str, Any] = {}
        measured = {part: self._measured(part, stage, raw) for part in self.chosen}
        cores = said["cores"] or 1
        document = {
            "schema": 1,
            "time": begun.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "quick": self.plan.quick,
            "busy": _busy(before, cores),
            "seconds": round(time.monotonic() - self._begun, 1),
            "load_before": before,
            "load_after": conditions.load(),
            "conditions": said,
            "pythons": self._pythons(),
            "plan": vars(self.plan),
            "goals": goals.judged(measured),
            "parts": measured,
        }
        return document, raw

    def _pythons(self) -> dict[str, str]:
        versions = [
            self.facts[image.tag]["Config"]["Labels"].get("org.eduhub.python", image.python) for image in self.pair
        ]
        return {BASE: versions[0], OTHER: versions[1], CONTROL: versions[0]}

    def _measured(self, part: str, stage: Stage, raw: dict[str, Any]) -> dict[str, Any]:
        say = self._sayer(part)
        begun = time.monotonic()
        try:
            if part == "in-process":
                found, documents = inprocess.measure(stage, self.pair, self.libraries, self.plan, say)
                raw.update(documents)
            elif part == "plone":
                running = self._site or site.start(stage, self.plone)
                found = site.measure(stage, running, self.pair, self.edge, self.plan, say)
            else:
                work = http.measure if part == "http" else http.latency
                found = work(stage, self.pair, self.edge, self.plan, say)
        except VoidError as error:
            found = {"void": str(error)}
        except FailedError as error:
            found = {"void": f"A request failed ({error.error}: {error})."}
        except OSError as error:  # a container that ended under its measurement: no door, no process
            found = {"void": f"{error.strerror or error}."}
        return {**found, "took_seconds": round(time.monotonic() - begun, 1)}

    def _sayer(self, part: str) -> Callable[[str], None]:
        def say(text: str) -> None:
            line = f"{time.monotonic() - self._begun:6.1f} s  {part:<10}  {text}"
            sys.stderr.write(f"\r\x1b[K{line}"[:120] if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()

        return say


def _busy(before: Sequence[float], cores: int) -> str:
    if not conditions.busy(before[0], cores):
        return ""
    return (
        f"the load average was {before[0]} on {cores} cores before anything was measured. Latencies and rates "
        "are worse than the bridge's own; trust ratios whose control is close to 1."
    )


@contextmanager
def alone() -> Iterator[None]:
    """Hold the one place for a measurement on this machine; raise Refusal where another has it."""
    with cache.home().joinpath("bench.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("Another bench is measuring on this machine; wait for its end, and try again.") from None
        yield


def write(document: dict[str, Any], raw: dict[str, Any], home: Path) -> Path:
    """Write the report into a directory of its own below `home`, and return it."""
    directory = home / str(document["time"]).replace(":", "").replace("-", "")
    (directory / "pyperf" if raw else directory).mkdir(parents=True, exist_ok=True)
    directory.joinpath("bench.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    directory.joinpath("bench.txt").write_text(tables.render(document), encoding="utf-8")
    if picture := plot.render(document):
        directory.joinpath("bench.svg").write_text(picture, encoding="utf-8")
    for name, benchmarks in raw.items():
        directory.joinpath("pyperf", name).write_text(json.dumps(benchmarks) + "\n", encoding="utf-8")
    return directory


def main(words: Sequence[str]) -> int:
    """Measure, write and print the report; return the exit code."""
    wanted = arguments(words)
    plan, chosen = chosen_plan(wanted.quick, wanted.rounds), parts(wanted.only)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with alone():
        bench = Bench(plan, chosen, wanted.older, wanted.newer)
        minutes = about_seconds(plan, chosen) / 60
        print(f"bench: about {minutes:.0f} min, less on a fast machine: {', '.join(chosen)}", file=sys.stderr)
        with open_stage(secrets.token_hex(4)) as stage:
            document, raw = bench.run(stage)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    directory = write(document, raw, REPORTS)
    print(tables.render(document))
    print(f"Written to {os.path.relpath(directory)}")
    return 1 if any("void" in part for part in document["parts"].values()) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refusal as refusal:
        sys.exit(print(f"bench: {refusal}", file=sys.stderr) or 2)
    except OSError as error:
        what = f"{error.filename or 'A file'}: {error.strerror or error}"
        sys.exit(print(f"bench: {what}; make it accessible to this user and try again.", file=sys.stderr) or 2)
    except KeyboardInterrupt:
        sys.exit(print("bench: stopped; its containers are removed, and nothing was written.", file=sys.stderr) or 2)
