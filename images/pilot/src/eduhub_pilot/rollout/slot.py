"""Starting a release in a slot. Who starts a slot's container also proves it, and removes it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.model.errors import FailedError, ProxyDownError
from eduhub_pilot.model.facts import Container, Slot, Transport
from eduhub_pilot.model.hosts_file import names
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.slot_container import slot_container

# The pilot shares the host's network, so the engine gives it the host's own file.
HOSTS = Path("/etc/hosts")


def start(host: Host, slot: Slot, record: Record) -> tuple[Container, bool]:
    """Return the container that runs `record` in `slot`, and whether it ran before. Behind the guard.

    A container of this release that runs is left alone: a release never changes. Any other of its name is replaced.
    EngineDownError when the engine cannot do that.
    """
    reach(host, slot, "tcp" if record.spec.port else "socket")
    wanted = slot_container(host.settings, slot, record, names(HOSTS.read_text(errors="replace")))
    found = host.engine.container(wanted.name)
    if found and found.runs and (found.release, found.image) == (record.id, record.image_id):
        return found, True
    if found:
        host.engine.remove(wanted.name, wanted.stop_seconds)
    host.engine.run(wanted)
    made = host.engine.container(wanted.name)
    if made is None:
        raise FailedError("container_lost", f"The container {wanted.name} was removed right after it was started.")
    return made, False


def reach(host: Host, slot: Slot, transport: Transport) -> None:
    """Let the edge reach the slot by `transport`: on disk first, so that a HAProxy that dies comes back with it."""
    known = host.store.transports()
    if known[slot] != transport:
        host.store.save_transports({**known, slot: transport})
    # Not by a reload: the old worker would go on by its old maps until its last connection ends.
    with suppress(ProxyDownError):  # it reads the file when it is back
        host.proxy.reach(slot, transport, TIMEOUT_SECONDS)
