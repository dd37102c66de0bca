"""What of an examined image stops an upgrade. Pure: from what was found under both Pythons to sentences.

A library ships code that nobody imports: for other systems, for optional dependencies, for its own tests. So what
fails in the same way under blue's Python is a note, and without a blue only what the application itself would meet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from eduhub_pilot.gates.contract.allow_list import allowance
from eduhub_pilot.gates.criteria import RuntimeCriteria

# An installation for another Python has it in its paths.
VERSION = re.compile(r"python\d\.\d+|cpython-\d+")


@dataclass(frozen=True)
class Finding:
    """One thing found: `ours` if it is in the application, `top` if a whole package cannot be imported.

    `supported`: the library it is in declares this Python. `missing`: the module whose absence an import died of.
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

    @property
    def sentence(self) -> str:
        """Where and what, to be read."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place} {self.what}{'' if self.what.endswith(('.', '?', '!')) else '.'}"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same finding under another Python."""
        said = (self.error or "", self.missing or "") if self.kind == "import" else (self.name or "",)
        return (self.kind, self.module or VERSION.sub("python", self.path), *said)


@dataclass(frozen=True)
class Report:
    """What the files of `inside` printed of one image."""

    python: str
    files: int
    modules: int
    packages: int
    distributions: Mapping[str, str]
    findings: Sequence[Finding]
    dropped: int = 0
    unexamined: Sequence[str] = ()


def parse_report(text: str) -> Report:
    """Return the report in `text`; raises ValueError for anything else, since foreign code ran beside it."""
    try:
        given = json.loads(text)
        found = [_finding(each) for each in given["findings"]]
        return Report(
            str(given["python"]), int(given["files"]), int(given["modules"]), int(given["packages"]),
            {str(name): str(version) for name, version in given["distributions"].items()}, found,
            int(given["dropped"]), [str(each) for each in given["unexamined"]],
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
        error.get("missing"), given.get("name"),
    )  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """Sentences: what `stops`, what is `allowed` for a time, what is merely worth knowing."""

    stops: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(green: Report, blue: Report | None, wanted: RuntimeCriteria, today: date) -> Judgement:
    """Return what of green's findings stops the upgrade, by the `wanted` criteria."""
    known = {each.key for each in blue.findings} if blue else set()
    judgement = Judgement()
    for finding in sorted(green.findings, key=lambda each: (not each.ours, each.path, each.line)):
        if finding.key in known:
            # Of what was as bad before, only the warnings say something: when it will break.
            if finding.kind == "deprecated" and finding.ours:
                judgement.notes.append(finding.sentence)
        elif finding.kind not in wanted.kinds or not stops(finding, same(finding.owner, green, blue)):
            judgement.notes.append(finding.sentence)
        elif (entry := allowance(wanted.allowed, finding.path, finding.kind, today)) is None:
            judgement.stops.append(finding.sentence)
        elif entry.until >= today:
            judgement.allowed.append(f"{finding.sentence} Allowed until {entry.until}: {entry.why or 'no reason'}.")
        else:
            judgement.stops.append(f"{finding.sentence} It was allowed until {entry.until}.")
    return judgement


def same(owner: str | None, green: Report, blue: Report | None) -> bool:
    """Return whether blue has the same version of a library, so that what fails only here is this Python's doing."""
    if blue is None or owner is None:
        return False
    return green.distributions.get(owner) == blue.distributions.get(owner)


def stops(finding: Finding, compared: bool) -> bool:
    """Return whether a finding that blue does not have would hurt what serves; `compared`: with the same library."""
    if finding.ours or finding.kind == "abi":
        return True
    if finding.kind == "removed":
        # A library that declares this Python has such a line where it is not reached; importing it has shown the rest.
        return not finding.supported
    if finding.kind == "import" and not compared:
        return finding.top and finding.missing is None
    return compared


def differences(blue: Mapping[str, str], green: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return how green's distributions differ from blue's: added, removed, and changed as [blue's, green's]."""
    return {
        "added": {name: green[name] for name in sorted(green.keys() - blue.keys())},
        "removed": {name: blue[name] for name in sorted(blue.keys() - green.keys())},
        "changed": {
            name: [blue[name], green[name]] for name in sorted(blue.keys() & green.keys()) if blue[name] != green[name]
        },
    }


def named(difference: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the differences of distributions in words."""
    parts = [
        *(f"{name} {version} is new" for name, version in difference["added"].items()),
        *(f"{name} {version} is gone" for name, version in difference["removed"].items()),
        *(f"{name} goes from {before} to {after}" for name, (before, after) in difference["changed"].items()),
    ]
    if not parts:
        return "the distributions are blue's"
    shown = parts if len(parts) <= 4 else [*parts[:3], f"{len(parts) - 3} more differ"]
    return ", ".join(shown)
