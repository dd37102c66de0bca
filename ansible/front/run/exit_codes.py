"""The exit code of a run and of each host: the one place on the control machine that decides it. Pure.

It reads fields alone: the `exit` of each host's answers by phase, in which phase a host failed, whether it was
unreachable, and whether the playbook ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from front.run.outcome import PHASES_WITHOUT_UNDO, Host, Outcome

DONE, REVERTED, REFUSED, NEEDS_PERSON = 0, 1, 2, 3
WORST_FIRST = (NEEDS_PERSON, REVERTED, REFUSED, DONE)
WORDS = {REVERTED: "reverted", REFUSED: "refused", NEEDS_PERSON: "failed"}

# The exit code of a phase that failed without an answer of the pilot: an Ansible module did, or no pilot could start.
# No live release was touched in these; after any other, a person has to look. "setup" is what the callback
# calls tasks without a phase.
PHASES_WITHOUT_ANSWER = dict.fromkeys(
    ("setup", "preflight", "engine", "stage", "compare", "plan", "begin", "status", "releases", "report", "self-test",
     "trace", "backups", "backup", "updates", "lock"),
    REFUSED,
)
# An answer of 1 in any other phase says that its run is about to be reverted; only an answer of `revert` says it was.
REVERTED_ALREADY = frozenset({"confirm", "self-test", "backup", "restore", "hand-over", "drain", "copies"})


def host_exit(host: Host) -> int:
    """Return the exit code that one host's part of the run asks for."""
    if host.unreachable:
        return NEEDS_PERSON if disconnected(host) else REFUSED
    code = _answered_exit(host)
    return NEEDS_PERSON if code == REFUSED and PHASES_WITHOUT_UNDO & set(host.changed_in) else code


def _answered_exit(host: Host) -> int:
    if "revert" in host.exits:
        # Confirmed and with its lock free, a run was over: that there is nothing to undo refuses nothing.
        over = host.exits["revert"] == REFUSED and host.exits.get("confirm") == DONE
        return DONE if over else worst([host.exits["revert"]])  # 0 where it found the release confirmed already
    if host.failed is None:
        return worst(host.exits.values())
    given = host.exits.get(host.failed, DONE)
    if given in {REFUSED, NEEDS_PERSON} or (given == REVERTED and host.failed in REVERTED_ALREADY):
        return given
    return NEEDS_PERSON if touched(host) else REFUSED


def run_exit(returned: int, outcome: Outcome | None) -> int:
    """Return the exit code of a run, from ansible-playbook's own (`returned`) and what the callback wrote.

    An Ansible that ended early, or badly though no host did, died of something that no playbook expected: 3. A
    playbook that came to none of the hosts did nothing: 2. Hosts that were left on different releases need a person: 3;
    so does one that was changed before its turn, which did not come.
    """
    hosts = outcome.hosts.values() if outcome else ()
    explained = any(host.failed or host.unreachable for host in hosts)
    if outcome is None or not outcome.ended or (returned and not explained):
        return NEEDS_PERSON
    if not hosts:
        return REFUSED
    halfway = any(host.waiting and PHASES_WITHOUT_UNDO & set(host.changed_in) for host in hosts)
    return NEEDS_PERSON if halfway or partly(hosts) else worst(host_exit(host) for host in hosts)


def partly(hosts: Iterable[Host]) -> bool:
    """Whether a run took some of the hosts to where it was to take them, and not all."""
    found = list(hosts)
    codes = [host_exit(host) for host in found]
    return set(codes) != {DONE} and any(host.advanced and code == DONE for host, code in zip(found, codes, strict=True))


def half_made(outcome: Outcome | None, check: bool) -> bool:
    """Whether a run that was cut off was in, or had changed a host in, a phase that nothing undoes; a check never."""
    hosts = outcome.hosts.values() if outcome and not check else ()
    return any(PHASES_WITHOUT_UNDO & {host.phase, *host.changed_in} for host in hosts)


def fleet_exit(returned: int, outcome: Outcome | None) -> int:
    """Return the exit code of a run in waves, from the same as `run_exit`.

    0 every host has the release; 2 this run touched none; 1 each host that it touched went back, and none has the
    release; 3 a person is needed, for one host or because hosts serve different releases.
    """
    if outcome is None or not outcome.ended or not outcome.hosts:
        return run_exit(returned, outcome)
    hosts = outcome.hosts.values()
    codes = [REFUSED if waits(host) else host_exit(host) for host in hosts]
    if set(codes) == {DONE} or NEEDS_PERSON in codes:
        return worst(codes)
    if REVERTED not in codes and not any(host.advanced for host in hosts):
        return REFUSED
    return NEEDS_PERSON if DONE in codes else REVERTED


def waits(host: Host) -> bool:
    """Whether its turn did not come, and undoing the run found nothing there that needs a person."""
    return host.waiting and not host.unreachable and host_exit(host) != NEEDS_PERSON


def touched(host: Host) -> bool:
    """Whether a phase began that may change what the host serves."""
    return not PHASES_WITHOUT_ANSWER.keys() >= set(host.phases)


def disconnected(host: Host) -> bool:
    """Whether the connection was lost when the host may have been touched, and it cannot be asked what it serves.

    Disconnected in the middle of begin, it may hold the lock and a release to go on with.
    """
    return host.unreachable and (touched(host) or host.begun)


def worst(codes: Iterable[int]) -> int:
    """Return the worst of some exit codes (a person is needed, reverted, refused, done); 3 for any other."""
    found = set(codes)
    if found - set(WORST_FIRST):
        return NEEDS_PERSON
    return next((code for code in WORST_FIRST if code in found), DONE)


def result_of(host: Host | None) -> str:
    """Return the word for one host in the closing table; None stands for a host that the run did not come to."""
    if host is None:
        return "untouched"
    if host.unreachable:
        return "unreachable"
    if waits(host):
        return "waiting"
    return WORDS.get(host_exit(host)) or ("changed" if host.changed else "unchanged")
