"""The gate `runtime`: whether the code in the image runs on its Python. Examined in the image, before any traffic.

A read-only container of the slot's image (no network, nothing to write, fewer CPU shares than the live containers) runs
the files of `inside`. Its findings are compared with those of the live release, kept since that was proven.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from importlib import resources

from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.criteria import RuntimeCriteria
from eduhub_pilot.gates.runtime.findings import Judgement, Report, differences, judge, named, parse_report
from eduhub_pilot.model.errors import EngineDownError
from eduhub_pilot.model.facts import Container, Look
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "runtime"
EVIDENCE = "runtime.json"
MODULE_SECONDS = 10.0
# The program ends by itself before it is ended, so that what it found is not lost.
GRACE_SECONDS = 15.0
MOST = 50
# In the order in which they import each other.
FILES = ("places", "reading", "importing", "reaching", "spreading", "examine")
LOADER = """
import json, sys, types
told = json.loads(sys.argv[1])
for name, source in [("", "")] + told["files"]:
    module = types.ModuleType(("_eduhub." + name).rstrip("."))
    module.__package__, module.__path__ = "_eduhub", []
    sys.modules[module.__name__] = module
    exec(compile(source, "<eduhub " + name + ">", "exec"), module.__dict__)
module.main(told["given"])
"""


class NoReportError(Exception):
    """There is no report; `word` is the verdict that this is, None when the image has no Python at all."""

    def __init__(self, word: Word | None, reason: str) -> None:
        super().__init__(reason)
        self.word = word
        self.reason = reason


def run(candidate: Candidate) -> Verdict | Skipped:
    """Return the verdict on the image in the slot."""
    started = candidate.host.clock.monotonic()
    try:
        found = _examined(candidate, candidate.container, candidate.record)
    except NoReportError as none:
        if none.word is None and not candidate.record.python:
            return Skipped(GATE, none.reason)
        return _verdict(candidate, started, none.word or "fail", none.reason, {})
    baseline = _baseline(candidate)
    judgement = judge(found, baseline, candidate.criteria.runtime, candidate.host.clock.now().date())
    difference = differences(baseline.distributions, found.distributions) if baseline else None
    if wrong := _wrong_python(found, candidate.record.python):
        judgement.stops.insert(0, wrong)
    measured = {
        "python": found.python, "modules": found.modules, "packages": found.packages, "files": found.files,
        "compared_with": candidate.live.id if baseline and candidate.live else None,
        "findings": judgement.stops[:MOST], "allowed": judgement.allowed[:MOST], "notes": judgement.notes[:MOST],
        "unreached": found.unreached, "notes_in_all": len(judgement.notes) + found.dropped, "dependencies": difference,
    }  # fmt: skip
    dependencies = named(difference) if difference else "there is no live release to compare with"
    word, reason = decide(found, judgement, dependencies)
    return _verdict(candidate, started, word, reason, measured)


def decide(found: Report, judgement: Judgement, dependencies: str) -> tuple[Word, str]:
    """Return the verdict and its reason."""
    what = f"{counted(found.modules, 'module')} of {counted(found.packages, 'package')}"
    if judgement.stops:
        count = len(judgement.stops)
        several = f" That is the first of {count} findings." if count > 1 else ""
        return "fail", f"On Python {found.python}: {judgement.stops[0]}{several}"
    if found.unexamined:
        return "inconclusive", (
            f"{len(found.unexamined)} of {what} were not examined before the timeout, such as {found.unexamined[0]}. "
            "Raise pilot_runtime_seconds."
        )
    allowed = f", allowed for a time: {counted(len(judgement.allowed), 'finding')}" if judgement.allowed else ""
    return "pass", f"{what} can be imported on Python {found.python}{allowed}; {dependencies}."


def counted(number: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _wrong_python(found: Report, wanted: str | None) -> str | None:
    if wanted and found.python != wanted and not found.python.startswith(f"{wanted}."):
        return f"the interpreter of the image is {found.python}, but the release names {wanted}."
    return None


def _examined(candidate: Candidate, name: str, record: Record) -> Report:
    """Return the report on a container's image, kept with its release; NoReportError when there is none.

    An image that was examined before, to be started in the same way, is not examined again.
    """
    wanted = candidate.criteria.runtime
    store = candidate.host.store
    try:
        container = candidate.host.engine.container(name)
        if container is None:
            raise NoReportError("error", f"There is no container {name} to examine.")
        key = _key(container, record, wanted)
        if kept := store.examined(record.image_id, key):
            with suppress(ValueError):
                return _keep(candidate, record, parse_report(kept), kept)
        look = _look(candidate, container)
    except EngineDownError as error:
        raise NoReportError("error", error.message) from None
    try:
        report = parse_report(look.output)
    except ValueError as error:
        raise NoReportError(
            "error", f"The examination of {name} ended with exit code {look.code} and no report ({error})."
        ) from None
    if not (report.unexamined or report.mounted):
        store.save_examined(record.image_id, key, look.output)
    return _keep(candidate, record, report, look.output)


def _look(candidate: Candidate, container: Container) -> Look:
    """Run the program in the container's image; NoReportError where it cannot end."""
    wanted, name = candidate.criteria.runtime, container.name
    for interpreter in wanted.interpreters:
        look = candidate.host.engine.look(
            name, [interpreter, *program(container, wanted.seconds)], wanted.memory, wanted.seconds + GRACE_SECONDS,
            candidate.between,
        )  # fmt: skip
        if look.trouble != "absent":
            break
    if look.trouble == "absent":
        names = " nor ".join(wanted.interpreters)
        raise NoReportError(None, f"The image of {name} has no {names}: there is no Python to examine.")
    if look.trouble == "seconds":
        raise NoReportError("inconclusive", f"The examination of {name} took more than {wanted.seconds:g} s. "
                            "Raise pilot_runtime_seconds.")  # fmt: skip
    if look.trouble == "memory":
        raise NoReportError("inconclusive", f"The examination of {name} took more memory than {wanted.memory}. "
                            "Raise pilot_runtime_memory.")  # fmt: skip
    return look


def _keep(candidate: Candidate, record: Record, report: Report, text: str) -> Report:
    if not report.unexamined and record.id in candidate.host.store.releases():
        candidate.host.store.save_evidence(record.id, EVIDENCE, text)
    return report


def _key(container: Container, record: Record, wanted: RuntimeCriteria) -> str:
    """Return a hash of what a report depends on beside the image: how it is started, and this gate's own program."""
    given = [wanted.interpreters, record.spec.fields.get("environment"), program(container, 0)]
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]


def _baseline(candidate: Candidate) -> Report | None:
    """Return the report on the live release: the kept one, else one made now; None where there is nothing to make."""
    if candidate.live is None:
        return None
    try:
        if kept := candidate.host.store.evidence(candidate.live.id, EVIDENCE):
            return parse_report(kept)
    except ValueError:
        pass  # of another pilot, or cut by a crash: made anew
    try:
        return _examined(candidate, candidate.live_container, candidate.live)
    except NoReportError:
        return None


def program(container: Container, seconds: float) -> list[str]:
    """Return the words behind the interpreter: a loader, then the files of `inside` and what they are told."""
    here = resources.files(__package__)
    removed = json.loads(here.joinpath("removed.json").read_text())["names"]
    files = [(name, here.joinpath("inside", f"{name}.py").read_text()) for name in FILES]
    given = {
        "removed": removed, "seconds": seconds, "module_seconds": MODULE_SECONDS,
        "words": container.command, "mounts": container.mounts,
    }  # fmt: skip
    return ["-c", LOADER, json.dumps({"files": files, "given": given})]


def _verdict(candidate: Candidate, started: float, word: Word, reason: str, measured: dict[str, object]) -> Verdict:
    wanted = candidate.criteria.runtime
    return Verdict(
        gate=GATE,
        verdict=word,
        reason=reason,
        measured=measured,
        budget={"findings": 0, "of": list(wanted.kinds), "seconds": wanted.seconds, "memory": wanted.memory},
        seconds=round(candidate.host.clock.monotonic() - started, 3),
    )
