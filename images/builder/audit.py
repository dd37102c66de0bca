"""`python -m builder.audit [NAME...]`: what the images that are built here lack. Exit code 0 nothing, 1 something, 2 no
answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from builder import Refusal, addons, advisories, cache, report, security
from builder.__main__ import Parser, run
from builder.advisories import Advisory, Database
from builder.build import Builder, built, created
from builder.catalogue import Image, load, with_addons
from builder.engine import Engine
from builder.security import Update

DOES = "Compare the images that are built here with Debian's security updates and known holes of Python packages."


@dataclass(frozen=True)
class Audited:
    """One image: when it was built (UTC), how many days ago, what it lacks.

    `is_current` says that it was built from this checkout. `packages` are the package URLs of all that was compared,
    as the SBOM has them. `advisories` is the date of the file that `python` is from, None where there was none.
    """

    image: str
    id: str
    built: str
    age_days: int
    suite: str
    is_current: bool
    end_of_life: str | None
    debian: tuple[Update, ...]
    python: tuple[Advisory, ...]
    advisories: str | None
    packages: tuple[str, ...]

    @property
    def findings(self) -> list[str]:
        """What an operator should put right, a line each."""
        ended = [f"Debian {self.suite} has had no security fixes since {self.end_of_life}"] if self.end_of_life else []
        return [*ended, *(f"{update} (Debian)" for update in self.debian), *map(str, self.python)]


def audit(
    builder: Builder, image: Image, facts: Mapping[str, Any], database: Database | None, now: datetime
) -> Audited:
    """Return what is known at `now` of `image`, which has the engine's `facts`."""
    labels = facts["Config"].get("Labels") or {}
    made = created(facts)
    ended = image.ended(now.date())
    found = builder.contents(image, facts["Id"])
    known = [hole for one in found.distributions if database for hole in database.of(one.name, one.version)]
    return Audited(
        image=image.tag,
        id=facts["Id"],
        built=made.isoformat(),
        age_days=(now - made).days,
        suite=builder.suite(image),
        is_current=labels.get("org.eduhub.inputs") == builder.inputs(image),
        end_of_life=ended.isoformat() if ended else None,
        debian=builder.updates(image, facts["Id"]),
        python=tuple(known),
        advisories=database.date if database else None,
        packages=found.purls,
    )


def main(words: Sequence[str]) -> int:
    """Audit what `words` name, say so, and return 0 or 1. Raise Refusal where there is no full answer."""
    parser = Parser(prog="audit", description=DOES, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bridge, bridge:py3.11, ...; without it all")
    parser.add_argument("--advisories", type=Path, help="file of OSV's advisories for PyPI: all.zip, or JSON")
    parser.add_argument("--json", action="store_true", help="a JSON document on stdout instead of the table")
    parser.add_argument("--addons", default="[]", help="add-ons of Plone, as a JSON list: images with them, too")
    wanted = parser.parse_args(words)
    database = advisories.load(wanted.advisories) if wanted.advisories else None
    images = load(on_request=True)
    images = (*images, *with_addons(images, addons.told(wanted.addons)))
    progress = report.Progress()
    with cache.lock(lambda: progress.say("audit", "a build is running; waiting for it to end")):
        builder = Builder(Engine(), images, progress, missing=True, look=partial(security.look, asked=True))
        chosen = built(builder.engine, images, wanted.names)
        rows = [audit(builder, image, facts, database, datetime.now(UTC)) for image, facts in chosen]
    print(document(rows) if wanted.json else table(rows))
    if unread := [look.sentence for look in builder.looks.values() if look.trouble]:
        raise Refusal(" ".join(unread))
    return 1 if any(row.findings for row in rows) else 0


def table(rows: Sequence[Audited]) -> str:
    """Return a line an image, the findings below it, and what was not compared."""
    lines = report.columns(
        [
            ("IMAGE", "BUILT", "DAYS", "DEBIAN", "PYTHON"),
            *(
                (
                    row.image, row.built[:10], str(row.age_days), str(len(row.debian)) if row.suite else "-",
                    "-" if row.advisories is None else str(len(row.python)),
                )
                for row in rows
            ),
        ],
        right={2, 3, 4},
    )  # fmt: skip
    told = [line for row, line in zip(rows, lines[1:], strict=True) for line in (line, *_below(row))]
    dates = {row.advisories for row in rows}
    note = (
        "Python packages were not compared: name a file with --advisories."
        if dates == {None}
        else f"Python's advisories are of {', '.join(sorted(filter(None, dates)))}."
    )
    return "\n".join([lines[0], *told, note])


def _below(row: Audited) -> list[str]:
    stale = [] if row.is_current else ["built from other sources: ./invoke images.build --missing"]
    return [f"    {line}" for line in (*row.findings, *stale)]


def document(rows: Sequence[Audited]) -> str:
    """Return the same as JSON: {"images": [{"image", "built", "debian": [...], "packages": [...], ...}]}."""
    return json.dumps({"images": [asdict(row) for row in rows]}, indent=2)


if __name__ == "__main__":
    run("audit", main)
