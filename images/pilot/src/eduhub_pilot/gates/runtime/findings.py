"""Which findings in an image stop an upgrade. Pure: from the findings under both Pythons to sentences.

A library ships code that is never imported: for other systems, for optional dependencies, for its own tests. So only
what the program can reach stops a run; what it cannot, and what the live release has too, is a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from typing import Any

from eduhub_pilot.gates.contract.allow_list import allowance
from eduhub_pilot.gates.criteria import RuntimeCriteria

# What `except ImportError` catches.
CAUGHT = ("ImportError", "ModuleNotFoundError")
# What an import dies of that does not depend on settings: another Python made it so.
# Names that are not there (AttributeError) may be another system's; those of another Python are known by `removed`.
OF_PYTHON = ("SyntaxError", "IndentationError", "TypeError", "Crash")
# Modules of the standard library that a Python no longer has.
REMOVED = frozenset(json.loads(resources.files(__package__).joinpath("removed.json").read_text())["names"])
# An installation for another Python has it in its paths.
VERSION = re.compile(r"python\d\.\d+|cpython-\d+")


@dataclass(frozen=True)
class Finding:
    """One thing found: `ours` if it is in the application, `top` if a whole package cannot be imported.

    `supported`: the library it is in declares this Python. `missing`: the module whose absence an import died of;
    `declared`: the library always requires it; `lazy`: the import stands in a function. `reach`: how the program gets
    there (`start`, `later`, `named`, `possible`, `guarded`, surest first), None where it does not.
    """

    kind: str
    path: str
    line: int
    what: str
    owner: str | None = None
    ours: bool = False
    supported: bool = False
    module: str | None = None
    top: bool = False
    error: str | None = None
    missing: str | None = None
    name: str | None = None
    reach: str | None = None
    declared: bool = False
    lazy: bool = False

    @property
    def sentence(self) -> str:
        """Where and what, to be read."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place} {self.what}{'' if self.what.endswith(('.', '?', '!')) else '.'}"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same finding under another Python."""
        said = (self.error or "", self.missing or "", str(self.lazy)) if self.kind == "import" else (self.name or "",)
        return (self.kind, self.module or VERSION.sub("python", self.path), *said)


@dataclass(frozen=True)
class Report:
    """What the files of `inside` printed of one image.

    `modules` of `packages` can be reached and were imported; `unreached` modules cannot. `mounted`: how many files of
    the code are not the image's own.
    """

    python: str
    files: int
    modules: int
    packages: int
    distributions: Mapping[str, str]
    findings: Sequence[Finding]
    dropped: int = 0
    unexamined: Sequence[str] = ()
    unreached: int = 0
    mounted: int = 0


def parse_report(text: str) -> Report:
    """Return the report in `text`; raises ValueError for anything else, since foreign code ran beside it."""
    try:
        given = json.loads(text)
        found = [_finding(each) for each in given["findings"]]
        return Report(
            str(given["python"]), int(given["files"]), int(given["modules"]), int(given["packages"]),
            {str(name): str(version) for name, version in given["distributions"].items()}, found,
            int(given["dropped"]), [str(each) for each in given["unexamined"]],
            int(given["unreached"]), int(given["mounted"]),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks {error}") from None


def _finding(given: Mapping[str, Any]) -> Finding:
    error = given.get("error") or {}
    line, path = given["line"], str(given["path"])
    what = str(given["what"])
    if error.get("path") == path:
        line = error["line"]
    elif error.get("path"):
        what = f"{what} ({error['path']}:{error['line']})"
    return Finding(
        str(given["kind"]), path, int(line or 0), what, given.get("owner"), bool(given.get("ours")),
        bool(given.get("supported")), given.get("module"), bool(given.get("top")), error.get("type"),
        error.get("missing"), given.get("name"), given.get("reach"), bool(given.get("declared")),
        bool(given.get("lazy")),
    )  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """Sentences: what `stops`, what is `allowed` for a time, what is merely worth knowing."""

    stops: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(candidate: Report, live: Report | None, wanted: RuntimeCriteria, today: date) -> Judgement:
    """Return which of the candidate's findings stop the upgrade, by the `wanted` criteria."""
    known = {each.key for each in live.findings} if live else set()
    judgement = Judgement()
    for finding in sorted(candidate.findings, key=lambda each: (not each.ours, each.path, each.line)):
        if finding.key in known:
            # Of known findings only a deprecation is worth a note: it names when the code will break.
            if finding.kind == "deprecated" and finding.ours:
                judgement.notes.append(finding.sentence)
        elif finding.kind not in wanted.kinds or not stops(finding, candidate, live):
            judgement.notes.append(finding.sentence)
        elif (entry := allowance(wanted.allowed, finding.path, finding.kind, today)) is None:
            judgement.stops.append(finding.sentence)
        elif entry.until >= today:
            judgement.allowed.append(f"{finding.sentence} Allowed until {entry.until}: {entry.why or 'no reason'}.")
        else:
            judgement.stops.append(f"{finding.sentence} It was allowed until {entry.until}.")
    return judgement


def same(owner: str | None, candidate: Report, live: Report | None) -> bool:
    """Return whether the live release has the same version of a library, so that this Python causes the failure."""
    if live is None or owner is None:
        return False
    return candidate.distributions.get(owner) == live.distributions.get(owner)


def stops(finding: Finding, candidate: Report, live: Report | None) -> bool:
    """Return whether a finding that the live release lacks stops the run."""
    if finding.reach is None:
        return False
    if finding.kind == "import":
        return _import_stops(finding, candidate, live)
    if finding.kind == "removed" and not finding.ours:
        # A library that declares this Python has such a line where it is not reached; importing it has shown the rest.
        return not finding.supported
    return True


def _import_stops(finding: Finding, candidate: Report, live: Report | None) -> bool:
    caught = finding.reach == "guarded" and finding.error in CAUGHT
    if finding.missing is not None and finding.missing.split(".")[0] not in REMOVED:
        if finding.lazy or caught or not (finding.ours or finding.reach == "start"):
            # Whether such a feature is used is not known: it counts where it is declared, or worked until now.
            return (finding.declared and not caught) or lost(finding.missing, candidate, live)
        return finding.reach in ("start", "later", "named")
    if caught:
        return False
    if finding.ours or finding.reach == "start" or same(finding.owner, candidate, live):
        return True
    return finding.error in OF_PYTHON or finding.missing is not None


def lost(module: str, candidate: Report, live: Report | None) -> bool:
    """Return whether the live release has a distribution of a module's name that the candidate has not."""
    name = re.sub(r"[-_.]+", "-", module.split(".", maxsplit=1)[0]).lower()
    return live is not None and name in live.distributions and name not in candidate.distributions


def differences(live: Mapping[str, str], candidate: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return how the candidate's distributions differ: added, removed, and changed as [live, candidate]."""
    return {
        "added": {name: candidate[name] for name in sorted(candidate.keys() - live.keys())},
        "removed": {name: live[name] for name in sorted(live.keys() - candidate.keys())},
        "changed": {
            name: [live[name], candidate[name]]
            for name in sorted(live.keys() & candidate.keys())
            if live[name] != candidate[name]
        },
    }


def named(difference: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the differences of distributions in words."""
    parts = [
        *(f"{name} {version} is added" for name, version in difference["added"].items()),
        *(f"{name} {version} is removed" for name, version in difference["removed"].items()),
        *(f"{name} changes from {before} to {after}" for name, (before, after) in difference["changed"].items()),
    ]
    if not parts:
        return "the distributions are unchanged"
    shown = parts if len(parts) <= 4 else [*parts[:3], f"{len(parts) - 3} more differ"]
    return ", ".join(shown)
