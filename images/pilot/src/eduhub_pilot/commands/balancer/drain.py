"""`drain`: tell the balancer before this host to go elsewhere, and wait until no request comes here. Nothing is cut.

It is on the disk first, so that a HAProxy that restarts comes back with it. Requests that still come are answered.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from eduhub_pilot.adapters.haproxy import Public
from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.model import connections
from eduhub_pilot.model.errors import PersonError, PilotError, RefusedError, SettingError
from eduhub_pilot.model.facts import SLOTS
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout import claim
from eduhub_pilot.rollout.drain import close_streams

# HAProxy lists every connection for this.
POLL_SECONDS = 0.5
AGAIN, BACK, STATUS = ["./invoke", "drain"], ["./invoke", "undrain"], ["./invoke", "status"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--quiet-seconds", type=float, required=True, help="without a request until the host is free")
    parser.add_argument("--seconds", type=float, required=True, help="how long to wait for that at most")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--mark", action="store_true", help="mark the host, and do not wait")
    parser.add_argument("--run", default="", help="id of the run that holds the lock and drains the host")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    quiet, seconds, check, only = options.quiet_seconds, options.seconds, options.check, options.mark
    return drain(host, quiet, seconds, check=check, run=options.run, only_mark=only)


def drain(
    host: Host, quiet: float, seconds: float, *, check: bool = False, run: str = "", only_mark: bool = False
) -> Outcome:  # fmt: skip
    """Mark the host, and wait until for `quiet` seconds no request came; idempotent. RefusedError during a rollout.

    With `only_mark` nothing is waited for: whether another host serves is looked at then.
    """
    if seconds <= quiet:
        raise SettingError(
            f"edge_drain_seconds is {seconds:g} and edge_drain_quiet_seconds {quiet:g}: nobody would be waited for. "
            "Give edge_drain_seconds a larger number."
        )
    with host.store.guard():
        _refuse_during_a_run(host, run)
        changed = not host.store.draining()
        if check:
            now = len(host.proxy.public(TIMEOUT_SECONDS).open)
            what = "The host would tell its balancer to go elsewhere" if changed else "The host is drained already"
            return Outcome("drain_planned", f"{what}; it has {counted(now)} now.", changed)
        if changed:
            host.proxy.set_draining(False, TIMEOUT_SECONDS)  # one that cannot be told is found out first
            _say_whose(host, run)
            host.store.save_draining(True)
            host.note(None, "drain", "on")
        # Said again even where the disk has it: a pilot may have died between the two.
        try:
            host.proxy.set_draining(True, TIMEOUT_SECONDS)
        except PilotError as error:
            message = f"The host is marked as drained, but HAProxy could not be told: {error.message}"
            raise PersonError("drain_unfinished", message, AGAIN, BACK) from None
    if only_mark:
        return Outcome("drain_marked", "The host tells its balancer to go elsewhere.", changed)
    began = host.clock.monotonic()
    found, is_free = _until_free(host, quiet, seconds)
    took, left = host.clock.monotonic() - began, found.open
    event = "drained" if is_free else "unfinished"
    host.note(None, "drain", event, left=len(left), recent=found.recent, seconds=round(took, 1))
    told = "The host tells its balancer to go elsewhere"
    data = {"left": [asdict(each) for each in left], "seconds": round(took, 1)}
    if is_free:
        streams = f"A stop cuts what never ends by itself: {connections.words(left)}."
        message = (
            f"{told}, and got no request for {quiet:g} s (after {took:.0f} s). "
            f"{streams if left else 'No connection is left.'}"
        )
        if run:  # which goes on by itself
            return Outcome("drained", message, changed, data)
        what = "Stop it, patch it, reboot it or change its settings now; then bring it back with undrain."
        return Outcome("drained", f"{message} {what}", changed, data, [BACK])
    still = f"{counted(len(left))} left ({connections.words(left)})" if left else "no connection left"
    message = (
        f"{told}, but after {took:.0f} s it has {still}, and {found.recent} requests ended within the last "
        f"{quiet:g} s. Nothing was cut. Look whether the balancer asks /health/host; then wait longer by the same "
        "command, or stop the host, which cuts what is left."
    )
    return Outcome("drain_unfinished", message, changed, data, [AGAIN, BACK])


def _until_free(host: Host, quiet: float, seconds: float) -> tuple[Public, bool]:
    """Return what is left once the host is free, or at the timeout, and whether it is free."""
    began, sent = host.clock.monotonic(), False
    while True:
        found, passed = host.proxy.public(TIMEOUT_SECONDS), host.clock.monotonic() - began
        is_free = passed >= quiet and sent and free(found)
        if is_free or passed >= seconds:
            return found, is_free
        if passed >= quiet and not sent:
            # The balancer has noticed by now, so listeners that are sent away find another host.
            sent = True
            if found.open:
                for slot in SLOTS:
                    close_streams(host, slot)
            continue
        host.clock.sleep(min(POLL_SECONDS, max(0.0, seconds - passed)))


def _say_whose(host: Host, run: str) -> None:
    """Note in a lock whether its own run drains the host, or an operator after that run died. Needs the guard."""
    lock = host.store.lock()
    if lock and (lock.run == run or lock.step == claim.DRAIN):
        host.store.renew(replace(lock, step=claim.DRAIN if lock.run == run else claim.BEGIN))


def free(found: Public) -> bool:
    """Whether no request came lately, and nothing is left but what never ends by itself."""
    return found.recent == 0 and all(each.lasting for each in found.open)


def counted(number: int) -> str:
    """Return a number of connections in words."""
    return f"{number} connection{'' if number == 1 else 's'}"


def _refuse_during_a_run(host: Host, run: str) -> None:
    """Raise RefusedError where nothing is deployed, or another run has the host. Needs the guard."""
    if not host.store.state().live:
        raise RefusedError("nothing_deployed", "No release is live on this host, so nobody is sent here.", STATUS)
    lock = host.store.lock()
    if lock and lock.run != run and not lock.expired(host.clock.now()):
        raise RefusedError(
            "lock_held",
            f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb {lock.verb}, "
            f"step {lock.step}. The host is not drained in the middle of that. Repeat the command when it has ended.",
            STATUS,
        )
