"""Makes plans, and holds an upgrade to one: reads and writes their files, and lets Ansible look at the hosts."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.waves import Policy
from front.inventory import loader
from front.plans.plan import Plan, changes, parsed, plan_of, stopped, upgrade_of
from front.run.outcome import Outcome
from front.run.play import Run

PLAN = "plan.json"  # where a plan goes that is to be written first


def taken(file: str, asked: Request, checkout: Path, newest: str) -> tuple[Plan, Request]:
    """Return the plan in `file`, and the upgrade that it plans. Raises RefusalError where that cannot be done.

    `newest`: the Python that is proposed where no plan can be read, since one without it would keep the live Python.
    """
    python = asked.values.get("eduhub_python")
    wanted: list[dict[str, str]] = [{"eduhub_python": python}] if python else [{"eduhub_python": newest}, {}]
    again = [plan_again(replace(asked, values=values), writable(file)) for values in wanted]
    try:
        plan = parsed(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusalError(f"The plan {file} cannot be read: {error.strerror}.", next_commands=again) from None
    except UnicodeDecodeError:
        raise RefusalError(f"The plan {file} is no text in UTF-8.", next_commands=again) from None
    except ValueError as error:
        raise RefusalError(f"The plan {file} {error}.", next_commands=again) from None
    if asked.values:
        options = ", ".join(f"--{name.removeprefix('eduhub_').replace('_', '-')}" for name in asked.values)
        raise RefusalError(f"The plan {file} says how to upgrade: leave out {options}, or --plan.")
    if not _same_inventory(plan["inventory"], asked.inventory, checkout):
        raise RefusalError(
            f"The plan {file} is of inventory {plan['inventory']!r}, and this command of {asked.inventory!r}.",
            next_commands=[upgrade_command(replace(asked, inventory=plan["inventory"]), file)],
        )
    upgrade = upgrade_of(plan, asked)
    if why := stopped(plan):
        raise RefusalError(*why, next_commands=[plan_again(upgrade, file)])
    return plan, upgrade


def _same_inventory(one: str, other: str, checkout: Path) -> bool:
    if one == other:
        return True
    try:
        return loader.find(one, checkout).resolve() == loader.find(other, checkout).resolve()
    except RefusalError:
        return False


def plan_again(asked: Request, file: str) -> str:
    """Return the command that makes the plan of an upgrade, into `file` if there is one."""
    values = {**asked.values, **({"out": file} if file else {})}
    return replace(asked, verb="plan", values=values).command


def upgrade_command(asked: Request, file: str) -> str:
    """Return the command of the upgrade that was planned, held to the plan where there is a file of it.

    An upgrade names a Python or a plan, so without both the plan has to be written first.
    """
    if not file and not asked.values.get("eduhub_python"):
        return plan_again(asked, PLAN)
    upgrade = replace(asked, verb="upgrade")
    return (replace(upgrade, values={"plan": file}, limit="") if file else upgrade).command


def check_place(file: str) -> None:
    """Raise RefusalError where a plan cannot be written to `file`."""
    folder = Path(file).absolute().parent
    if Path(file).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise RefusalError(f"--out {file!r} cannot be written: name a file in a folder that you may write to.")
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if text.strip() and not is_like_a_plan(text):
        raise RefusalError(f"--out {file!r} is there already and is no plan: name another file.")


def writable(file: str) -> str:
    """Return where the plan that `file` was to be can be written: there, beside what is there, or here."""
    path = Path(file)
    beside = [str(path.with_name(f"{path.stem}.plan.json"))] if path.stem else []
    for place in (file, *beside):
        with contextlib.suppress(RefusalError):
            check_place(place)
            return place
    return PLAN


def is_like_a_plan(text: str) -> bool:
    """Whether `text` begins as a plan does, of this checkout or another one, even if it was cut off."""
    return re.match(r"\s*\{\s*\"schema\"\s*:", text) is not None


def write(plan: Plan, file: str) -> None:
    """Write a plan by temporary file and rename. Raises RefusalError where the disk does not take it."""
    path = Path(file)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(plan, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RefusalError(f"The plan cannot be written to {file}: {error.strerror}.") from None


def made(run: Run, names: Sequence[str], outcome: Outcome, policy: Policy | None) -> Plan:
    """Return the plan of a run that has looked at the hosts `names`."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return plan_of(run.request, names, outcome, policy or Policy(), now)


def hold_to(reviewed: Plan, now: Plan, upgrade: Request, file: str) -> None:
    """Raise RefusalError, with each change and its hosts, unless `now` is what was `reviewed`."""
    if told := changes(reviewed, now):
        raise RefusalError(
            *(f"The plan {file} of {reviewed['made']} no longer fits {what}" for what in told),
            next_commands=[plan_again(upgrade, file)],
        )
