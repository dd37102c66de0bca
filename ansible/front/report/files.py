"""Writes the last rollout as a page and as JSON, below reports/rollout of the checkout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import TemplateError

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.output.fleet import listed
from front.output.layout import next_lines
from front.report import page
from front.run.outcome import Host, Outcome

FOLDER = "reports/rollout"


def written(request: Request, names: Sequence[str], outcome: Outcome, checkout: Path, *, data: bool) -> list[str]:
    """Return what ends the verb: with `data` the JSON alone, else which files were written and what to type next.

    Raises RefusalError where they cannot be written, and where there was no rollout.
    """
    hosts = {name: outcome.hosts.get(name) for name in names}
    document = page.document(request, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", hosts)
    text = json.dumps(document, indent=1)
    if data:
        return [text]
    if not page.rollouts(document):
        silent = [name for name, host in hosts.items() if host and not isinstance(host.report, Mapping)]
        if silent:
            others = "" if len(silent) == len(hosts) else ", and no other host has had a rollout"
            why = [f"{name}: {each.message}" for name in silent for each in (hosts[name] or Host()).messages]
            raise RefusalError(f"No report was written: {listed(silent)} gave none{others}.", *why)
        raise RefusalError("No host has had a rollout yet, so no report was written.")
    where = f"{FOLDER}/{page.name(document)}"
    try:
        write(checkout / f"{where}.json", text + "\n")
        write(checkout / f"{where}.html", page.render(document))
    except OSError as error:
        raise RefusalError(f"The report cannot be written to {where}.html: {error.strerror}.") from None
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RefusalError(
            f"The report of a host has a form that cannot be drawn ({type(error).__name__}: {error}). All of it is in "
            f"{where}.json. Bring the host's pilot up to date.",
            next_commands=[request.invoke("deploy")],
        ) from None
    text = f"Written: {where}.html (any browser, no network) and the same as .json."
    return ["", text, *next_lines([request.status])]


def write(path: Path, text: str) -> None:
    """Write a file by temporary file and rename: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
