"""Part "in-process": operations within one process, in the images themselves, timed by pyperf."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builder import HERE, cache, inputs, wheels
from builder.catalogue import Image
from builder.engine import Engine
from eduhub_pilot.analysis import statistics
from tests.bench import operations
from tests.bench.compare import ARMS, BASE, CONTROL, OTHER, gain, medians
from tests.bench.plan import Plan
from tests.bench.stage import Stage

ROOM = Path(__file__).parent
SECONDS = 300.0
PYTHONPATH = "/opt/eduhub/app:/opt/eduhub/lib:/bench-lib"


def library(engine: Engine, image: Image) -> Path:
    """Return a directory with pyperf for the Python in `image`, fetched by hash and kept."""
    target = engine.target(image.tag)
    lock = ROOM / "requirements.txt"
    wanted = wheels.requirements(lock.read_text(encoding="utf-8"), target)
    tool_lock = HERE / "base" / "tools.txt"
    tools, _ = cache.keep(
        "tools", inputs.text_digest(tool_lock.read_text()), lambda draft: wheels.fetch_tools(tool_lock, draft)
    )

    def unpack(draft: Path) -> None:
        wheels.fetch(wanted, target, (), tools, draft)
        for wheel in draft.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(draft)
            wheel.unlink()

    entry, _ = cache.keep("bench", inputs.text_digest(repr((sorted(wanted.items()), target))), unpack)
    return entry


def measure(
    stage: Stage, pair: tuple[Image, Image], libraries: dict[str, Path], plan: Plan, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the part's result, and pyperf's own documents by the name of a file for each."""
    for name, content in operations.documents().items():
        stage.write(name, content)
    wanted: list[dict[str, Any]] = [
        {"name": each.name, "paths": each.paths, "users": 0} for each in operations.OPERATIONS
    ]
    wanted.append({
        "name": operations.MULTI_USER, "paths": operations.PASS_THROUGH.paths, "users": operations.USERS
    })  # fmt: skip
    text = json.dumps({"documents": "/bench", "operations": wanted}).encode()
    images = {BASE: pair[0], OTHER: pair[1], CONTROL: pair[0]}
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for number, arm in statistics.interleaved(ARMS, plan.rounds):
        say(f"round {number + 1} of {plan.rounds}, Python {images[arm].python}")
        found[arm].append(_process(stage, images[arm], libraries[images[arm].tag], plan, text))
    rows = [_row(each["name"], found) for each in wanted]
    raw = {
        f"pyperf-{arm}-py{images[arm].python}-{number + 1}.json": result["pyperf"]
        for arm, results in found.items()
        for number, result in enumerate(results)
    }
    pythons = {arm: results[0]["python"] for arm, results in found.items()}
    return {"rounds": plan.rounds, "values_a_round": plan.values, "pythons": pythons, "rows": rows}, raw


def _process(stage: Stage, image: Image, library_: Path, plan: Plan, text: bytes) -> dict[str, Any]:
    output = stage.once(
        "in-process", image, text, SECONDS, entrypoint=["python3", "/inside/operations.py"],
        command=[*map(str, (plan.loops, plan.values, plan.warmups)), "/bench/in-process.in"],
        environment={"PYTHONPATH": PYTHONPATH}, mounts={ROOM / "inside": "/inside", library_: "/bench-lib"},
    )  # fmt: skip
    result: dict[str, Any] = json.loads(output)
    return result


def _row(name: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the row of one operation: microseconds of CPU and of wall time, and what follows from each."""
    clocks = {
        clock: {
            arm: [statistics.median(result["operations"][name][clock]) * 1e6 for result in results]
            for arm, results in found.items()
        }
        for clock in ("cpu", "wall")
    }
    return {
        "operation": name,
        "path": found[OTHER][0]["operations"][name]["path"],
        "cpu_us": medians(clocks["cpu"]),
        "wall_us": medians(clocks["wall"]),
        "cpu": gain(clocks["cpu"]),
        "wall": gain(clocks["wall"]),
        "rounds_us": clocks,
    }
