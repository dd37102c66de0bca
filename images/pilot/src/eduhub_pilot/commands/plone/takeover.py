"""A standby takes Plone's database over from the container that serves, while requests wait at Plone's endpoint.

The container from before is kept, stopped, as the previous one: a rollback lets it take over in the same way. Until the
new one has answered, a restart of the host returns to the one from before. Killed in between, the next takeover goes on
from what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Heart, Host
from eduhub_pilot.analysis.canary import Sample, Side, misbehaves, side
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, SupersededError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, STANDBY_PLONE, Container, Counts
from eduhub_pilot.rollout.plone import not_shared

DEPLOY = ["./invoke", "deploy"]
PAUSE_SECONDS = 0.1
ANSWER_SECONDS = 10.0
LOG_LINES = 10
# After the switch the engine's own health check follows within its interval.
HEALTHY_SECONDS = 60.0
WATCH_PAUSE_SECONDS = 1.0
# Counters are missed rather than waited for.
COUNT_SECONDS = 1.0
# So many times in a row a watched Plone may not answer with its site.
SILENT = 3


@dataclass(frozen=True)
class TakeOver:
    """One takeover of a run. `start_seconds`: how long a container may load; `wait_seconds`: how long requests wait.

    `keeps`: a standby that does not serve becomes the previous container again, instead of being removed.
    """

    host: Host
    run: str
    site: str
    start_seconds: float
    wait_seconds: float
    heart: Heart
    keeps: bool = False

    def name(self, part: str = PLONE) -> str:
        """Return the name of a container of Plone's."""
        return self.host.settings.container(part)

    def take_over(self, before: Callable[[], None] = lambda: None) -> float:
        """Let the standby take over, and return for how many seconds requests may have waited.

        `before` is called while the container from before serves, and may raise to end it all. FailedError where Plone
        runs as before, PersonError where none of the two serves.
        """
        host, standby, serves = self.host, self.name(STANDBY_PLONE), self._serves()
        if serves:
            try:
                before()
                self._prepare(standby)
                host.endpoint.hold(True, TIMEOUT_SECONDS)  # where it cannot, nothing is stopped
            except (PilotError, OSError) as error:
                raise self._given_up(error) from None
        begun = host.clock.monotonic()
        try:
            host.endpoint.hold(True, TIMEOUT_SECONDS)
            host.engine.stop(self.name(), work.STOP_SECONDS)
            host.engine.start(standby)
            # One that was not prepared, because nothing served, loads first.
            self._answers(standby, self.wait_seconds if serves else self.start_seconds, self.heart.beat)
            seconds = round(host.clock.monotonic() - begun, 1)
            host.engine.let_last(standby)
            self._keep()
            host.engine.rename(standby, self.name())
        except (PilotError, OSError) as error:
            raise work.undone(
                host, self.run, "plone", error, self.back,
                work.Ending(
                    "plone_hand_over_reverted",
                    "The standby of Plone did not serve, and Plone runs in the container from before:",
                    [["./invoke", "status"]],
                    "plone_stuck", "The standby of Plone could not take over:",
                    "The container from before does not serve either:",
                ),
            ) from None  # fmt: skip
        with suppress(PilotError):
            host.endpoint.hold(False, TIMEOUT_SECONDS)
        return seconds

    def settle(self) -> None:
        """Return once the engine calls Plone healthy, or it had the time for that."""
        self._await(self._healthy, HEALTHY_SECONDS, self.heart.beat)

    def serves_site(self) -> bool:
        """Return whether Plone itself has the database and answers with its site. One that starts has time for it."""
        host, silent = self.host, 0

        def told() -> bool:
            nonlocal silent
            serves = self._serves()
            if serves and _serves_site(host.endpoint.answers(f"/{self.site}", ANSWER_SECONDS)):
                silent = 0
                return True
            silent += 1
            host.clock.sleep(WATCH_PAUSE_SECONDS)
            found = host.engine.container(self.name())
            return not serves or (silent >= SILENT and found is not None and found.health != "starting")

        return self._await(told, self.start_seconds, self.heart.beat) and not silent

    def counts(self) -> Counts | None:
        """Return what Plone's endpoint has counted; None where it cannot be asked."""
        with suppress(PilotError, OSError):
            return self.host.endpoint.counts(COUNT_SECONDS)
        return None

    def watch(self, seconds: float, old: Side, first: Callable[[], None] = lambda: None) -> None:
        """Watch a Plone that took over, and let the previous one take over again where it is not healthy.

        `old`: what the endpoint counted of that one. `first` is called first, and may raise. FailedError after a
        return, PersonError where that failed.
        """
        try:
            first()
            self._watched(seconds, old)
        except SupersededError:
            raise  # the host is another run's
        except (PilotError, OSError) as error:
            raise work.undone(
                self.host, self.run, "plone", error, self._return,
                work.Ending(
                    "plone_hand_over_reverted", "Plone runs in the container from before again:",
                    [["./invoke", "status"]],
                    "plone_stuck", "Plone was not healthy after the takeover:",
                    "The container from before could not take over again:",
                ),
            ) from None  # fmt: skip

    def _watched(self, seconds: float, old: Side) -> None:
        host, begun, silent = self.host, self.host.clock.monotonic(), 0
        found, first = host.engine.container(self.name()), self.counts()
        restarts = found.restarts if found else 0
        while host.clock.monotonic() - begun < seconds:
            self.heart.beat()
            host.clock.sleep(WATCH_PAUSE_SECONDS)
            found = host.engine.container(self.name())
            after = f"{host.clock.monotonic() - begun:.0f} s after the takeover"
            if found is None or not found.runs or found.restarts > restarts:
                log = " | ".join(host.engine.log(self.name(), LOG_LINES))
                raise FailedError("plone_standby_failed", f"the new one ended {after}. Its log: {log}")
            status = host.endpoint.answers(f"/{self.site}", ANSWER_SECONDS)
            silent = 0 if _serves_site(status) else silent + 1
            if silent >= SILENT:
                said = f"answered {status}" if status else "did not answer"
                raise FailedError("plone_standby_failed", f"the new one {said}, {silent} times in a row, {after}.")
            now = self.counts()
            if first and now:
                new = replace(side(Sample(first), Sample(now)), faults=0)
                if why := misbehaves(new, old, host.settings.plan.limits):
                    raise FailedError("plone_standby_failed", f"the new one {why}, {after}.")

    def _return(self) -> None:
        """Let the previous container take over again, and remove the one that it takes over from."""
        engine, store, standby = self.host.engine, self.host.store, self.name(STANDBY_PLONE)
        self.returns_to(engine.container(self.name(PREVIOUS_PLONE)))
        engine.rename(self.name(PREVIOUS_PLONE), standby)
        try:
            replace(self, keeps=True).take_over()
        finally:
            if engine.container(standby) is None:
                store.save_plone_rollback(None)
        engine.remove(self.name(PREVIOUS_PLONE), work.STOP_SECONDS)

    def returns_to(self, found: Container | None) -> None:
        """Keep that Plone returns to a container: killed from here on, it is a rollback to repeat.

        On a full disk it is not kept, and a deployment ends one that is killed.
        """
        with suppress(OSError):
            self.host.store.save_plone_rollback(found.id if found else None)

    def _serves(self) -> bool:
        """Return whether Plone has the database, as far as the host can tell: it runs and does not wait for it."""
        found = self.host.engine.container(self.name())
        return bool(found and found.runs and not self.host.endpoint.waits(found))

    def _healthy(self) -> bool:
        found = self.host.engine.container(self.name())
        return bool(found and found.health == "healthy")

    def _prepare(self, name: str) -> None:
        """Start the standby, and return once it waits for the database. FailedError when it ends or takes too long."""
        host = self.host
        standby, serves = host.engine.container(name), host.engine.container(self.name())
        if standby and serves and (why := not_shared(serves, standby)):
            raise FailedError("plone_standby_failed", f"The standby of Plone cannot take over: {why}.", DEPLOY)
        if standby and not standby.runs:
            host.endpoint.forget(standby)
        host.engine.start(name)

        def settled() -> bool:
            found = host.engine.container(name)
            return found is None or not found.runs or found.health == "healthy" or host.endpoint.waits(found)

        in_time = self._await(settled, self.start_seconds, self.heart.beat)
        found = host.engine.container(name)
        if not in_time or found is None or not host.endpoint.waits(found):
            why = (
                f"was not prepared within {self.start_seconds:g} s" if not in_time
                else "serves: it did not wait for the database" if found and found.runs
                else "did not start"
            )  # fmt: skip
            said = " | ".join(host.engine.log(name, LOG_LINES))
            raise FailedError("plone_standby_failed", f"The standby of Plone {why}. Its log: {said}")

    def _answers(self, name: str, seconds: float, between: Callable[[], None]) -> None:
        """Return once the Plone in a container answers with its site. FailedError when it does not in `seconds`."""
        host = self.host
        status: int | None = None

        def answered() -> bool:
            nonlocal status
            found = host.engine.container(name)
            if found is None or not found.runs:
                raise FailedError("plone_standby_failed", "Plone's container ended.")
            status = None if host.endpoint.waits(found) else host.endpoint.answers(f"/{self.site}", ANSWER_SECONDS)
            return _serves_site(status)

        if not self._await(answered, seconds, between):
            said = f"answered {status}" if status else "did not answer"
            log = " | ".join(host.engine.log(name, LOG_LINES))
            raise FailedError("plone_standby_failed", f"Plone {said} within {seconds:g} s. Its log: {log}")

    def _await(self, done: Callable[[], bool], seconds: float, between: Callable[[], None]) -> bool:
        """Return whether `done` was true within `seconds`."""
        deadline = self.host.clock.monotonic() + seconds
        while not done():
            if self.host.clock.monotonic() > deadline:
                return False
            between()
            self.host.clock.sleep(PAUSE_SECONDS)
        return True

    def _keep(self) -> None:
        """Keep the container from before as the previous one, in place of an older one."""
        engine, name, previous = self.host.engine, self.name(), self.name(PREVIOUS_PLONE)
        if engine.container(name):
            engine.let_end(name)
            engine.remove(previous, work.STOP_SECONDS)
            engine.rename(name, previous)

    def _put_away(self) -> None:
        """Stop a standby that did not take over, and remove it, unless it was the previous container."""
        engine, standby = self.host.engine, self.name(STANDBY_PLONE)
        if self.keeps and engine.container(standby):
            engine.stop(standby, work.STOP_SECONDS)
            engine.let_end(standby)
            engine.rename(standby, self.name(PREVIOUS_PLONE))
        else:
            engine.remove(standby, work.STOP_SECONDS)

    def put_back(self) -> None:
        """Put a standby away while Plone runs. It may have the database since the host restarted: requests wait."""
        with suppress(PilotError):
            self.host.endpoint.hold(True, TIMEOUT_SECONDS)
        self._put_away()
        self.host.engine.let_last(self.name())
        with suppress(PilotError):
            self.host.endpoint.hold(False, TIMEOUT_SECONDS)

    def _given_up(self, error: Exception) -> PilotError:
        """Put a standby away that had not begun to take over, and return why."""
        why = work.reason(error)
        with suppress(PilotError):
            self._put_away()
        with suppress(PilotError, OSError):
            self.host.note(self.run, "plone", "failed", why=why)
        message = f"{why.rstrip('.')}. Plone serves as before, and no request failed."
        following = getattr(error, "next", None) or [["./invoke", "status"]]
        return FailedError("plone_standby_failed", message, *following)

    def back(self) -> None:
        """Return to the container from before, wherever a takeover was interrupted. Raises PilotError.

        Without the heartbeat: a run that took the lock over meanwhile gets a Plone that serves.
        """
        engine, name, previous = self.host.engine, self.name(), self.name(PREVIOUS_PLONE)
        if engine.container(name) is None and engine.container(previous):
            engine.rename(previous, name)
        if engine.container(name) is None:
            raise PersonError("plone_stuck", "The container from before is gone.")
        self._put_away()
        engine.let_last(name)
        engine.start(name)
        self._answers(name, self.start_seconds, lambda: None)
        self.host.endpoint.hold(False, TIMEOUT_SECONDS)


def _serves_site(status: int | None) -> bool:
    """Return whether Plone answered with its site, which may ask everybody to sign in."""
    return status is not None and status < 500 and status != 404
