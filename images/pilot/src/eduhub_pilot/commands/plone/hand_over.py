"""`hand-over`: let the standby beside our Plone take over from it, while requests wait at Plone's endpoint.

Role plone makes the standby's container: another image or other settings, the same volume. It loads everything and
waits for the database. Until the old container is removed a restart of the host returns to it, because the engine does
not start the standby by itself. Killed in between, the next call goes on from what it finds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError
from eduhub_pilot.model.facts import Container
from eduhub_pilot.model.outcome import Outcome

# Plone finishes what it has begun for 8 seconds.
STOP_SECONDS = 30
PAUSE_SECONDS = 0.1
ANSWER_SECONDS = 10.0
LOG_LINES = 10
# After the switch the engine's own health check follows within its interval.
HEALTHY_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--owner", required=True, help="the operator, as user@host")
    parser.add_argument("--site", required=True, help="id of the site, whose page has to be answered")
    parser.add_argument("--start-seconds", type=float, required=True, help="how long the standby may take to load")
    parser.add_argument("--wait-seconds", type=float, required=True, help="how long requests wait at the endpoint")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    standby = host.engine.container(host.settings.container(work.STANDBY))
    if standby is None:
        return Outcome("plone_unchanged", "No standby of Plone is to take over.")
    with work.locked(host, options.run, options.owner, "plone.hand-over") as heart:
        return _hand_over(host, options, standby, heart)


def _hand_over(host: Host, options: argparse.Namespace, standby: Container, heart: Heart) -> Outcome:
    name = host.settings.container(work.PLONE)
    host.note(options.run, "plone", "begun", owner=options.owner, image=standby.image)
    if _serves(host, name):
        try:
            _prepare(host, standby, options.start_seconds, heart)
            host.endpoint.hold(True, PATIENCE_SECONDS)  # where it cannot, nothing is stopped
        except (PilotError, OSError) as error:
            raise _given_up(host, options.run, error) from None
    begun = host.clock.monotonic()
    try:
        host.endpoint.hold(True, PATIENCE_SECONDS)
        host.engine.stop(name, STOP_SECONDS)
        host.engine.start(standby.name)
        _answers(host, standby.name, options.site, options.wait_seconds, heart.beat)
        seconds = round(host.clock.monotonic() - begun, 1)
        host.engine.let_last(standby.name)
        host.engine.remove(name, STOP_SECONDS)
        host.engine.rename(standby.name, name)
    except (PilotError, OSError) as error:
        raise _reverted(host, options, error) from None
    with suppress(PilotError):
        host.endpoint.hold(False, PATIENCE_SECONDS)
    host.note(options.run, "plone", "handed_over", image=standby.image, seconds=seconds)
    _await(host, lambda: _healthy(host, name), HEALTHY_SECONDS, heart.beat)
    message = f"Plone runs in a new container; requests that needed it waited for up to {seconds:.1f} s."
    return Outcome("plone_handed_over", message, True, {"seconds": seconds})


def _serves(host: Host, name: str) -> bool:
    """Return whether the container has the database, as far as the host can tell: it runs and does not wait for it."""
    found = host.engine.container(name)
    return bool(found and found.runs and not host.endpoint.waits(found))


def _healthy(host: Host, name: str) -> bool:
    found = host.engine.container(name)
    return bool(found and found.health == "healthy")


def _prepare(host: Host, standby: Container, seconds: float, heart: Heart) -> None:
    """Start the standby, and return once it waits for the database. FailedError when it ends or takes too long."""
    if not standby.runs:
        host.endpoint.forget(standby)
    host.engine.start(standby.name)

    def settled() -> bool:
        found = host.engine.container(standby.name)
        return found is None or not found.runs or host.endpoint.waits(found)

    in_time = _await(host, settled, seconds, heart.beat)
    found = host.engine.container(standby.name)
    if not in_time or found is None or not host.endpoint.waits(found):
        why = "did not start" if in_time else f"was not prepared within {seconds:g} s"
        said = " | ".join(host.engine.log(standby.name, LOG_LINES))
        raise FailedError("plone_standby_failed", f"The standby of Plone {why}. Its log: {said}")


def _answers(host: Host, name: str, site: str, seconds: float, between: Callable[[], None]) -> None:
    """Return once the Plone in the container answers with its site. FailedError when it does not in `seconds`."""
    status: int | None = None

    def answered() -> bool:
        nonlocal status
        found = host.engine.container(name)
        if found is None or not found.runs:
            raise FailedError("plone_standby_failed", "Plone's container ended.")
        status = None if host.endpoint.waits(found) else host.endpoint.answers(f"/{site}", ANSWER_SECONDS)
        # A site may ask everybody to sign in.
        return status is not None and status < 500 and status != 404

    if not _await(host, answered, seconds, between):
        said = f"answered {status}" if status else "did not answer"
        log = " | ".join(host.engine.log(name, LOG_LINES))
        raise FailedError("plone_standby_failed", f"Plone {said} within {seconds:g} s. Its log: {log}")


def _await(host: Host, done: Callable[[], bool], seconds: float, between: Callable[[], None]) -> bool:
    """Return whether `done` was true within `seconds`."""
    deadline = host.clock.monotonic() + seconds
    while not done():
        if host.clock.monotonic() > deadline:
            return False
        between()
        host.clock.sleep(PAUSE_SECONDS)
    return True


def _given_up(host: Host, run: str, error: Exception) -> PilotError:
    """Remove a standby that had not begun to take over, and return why."""
    why = getattr(error, "message", None) or str(error)
    with suppress(PilotError):
        host.engine.remove(host.settings.container(work.STANDBY), STOP_SECONDS)
    with suppress(PilotError, OSError):
        host.note(run, "plone", "failed", why=why)
    return FailedError(
        "plone_standby_failed", f"{why} Plone serves as before, and no request failed.", ["./invoke", "deploy"]
    )


def _reverted(host: Host, options: argparse.Namespace, error: Exception) -> PilotError:
    """Return to the container from before, without the heartbeat, and tell how that went."""
    why = getattr(error, "message", None) or str(error)
    name = host.settings.container(work.PLONE)
    try:
        if host.engine.container(name) is None:
            raise FailedError("plone_standby_failed", "The container from before is gone.")
        host.engine.remove(host.settings.container(work.STANDBY), STOP_SECONDS)
        host.engine.start(name)
        _answers(host, name, options.site, options.start_seconds, lambda: None)
        host.endpoint.hold(False, PATIENCE_SECONDS)
    except (PilotError, OSError) as again:
        with suppress(PilotError, OSError):
            host.note(options.run, "plone", "stuck", why=why)
        return PersonError(
            "plone_stuck",
            f"The standby of Plone could not take over: {why} The container from before does not serve either: "
            f"{getattr(again, 'message', None) or again}",
            ["docker", "logs", "--tail", "50", name],
        )
    with suppress(PilotError, OSError):
        host.note(options.run, "plone", "reverted", why=why)
    message = f"The standby of Plone did not serve, and Plone runs in the container from before: {why}"
    return FailedError("plone_hand_over_reverted", message, ["./invoke", "deploy"])
