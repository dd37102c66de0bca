"""Writes the last rollout as a page and as data, below reports/rollout of the checkout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import TemplateError

from front import page
from front.outcome import Outcome
from front.refusal import RefusalError

FOLDER = "reports/rollout"


def lines(
    inventory: str, names: Sequence[str], outcome: Outcome, checkout: Path, status: str, *, data: bool
) -> list[str]:
    """Return what ends the verb: with `data` the document alone, else where it was written and what to type next.

    Raises RefusalError where it cannot be written, and where there was no rollout.
    """
    hosts = {name: outcome.hosts.get(name) for name in names}
    told = page.document(inventory, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", hosts)
    text = json.dumps(told, indent=1)
    if data:
        return [text]
    if not page.rollouts(told):
        raise RefusalError("There is no rollout to report, so no file was written.")
    where = f"{FOLDER}/{page.name(told)}"
    try:
        write(checkout / f"{where}.json", text + "\n")
        write(checkout / f"{where}.html", page.render(told))
    except OSError as error:
        raise RefusalError(f"The report cannot be written to {where}.html: {error.strerror}.") from None
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RefusalError(
            f"A host tells of its rollout in a form that cannot be drawn ({type(error).__name__}: {error}): "
            f"{where}.json has all of it. `./invoke deploy` brings its pilot up to date."
        ) from None
    written = f"Written: {where}.html (any browser, no network) and the same as .json."
    return ["", written, f"Next: look at it; {status} says what each host serves now."]


def write(path: Path, text: str) -> None:
    """Write a file whole: who looks at it meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
