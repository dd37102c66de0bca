"""More hosts as institutions have them: how they are reached, and with what engine, sshd and clock.

A condition begins with the oldest Python live, confirmed and unlocked, and leaves the site served.
"""

from __future__ import annotations

import os
import select
import shlex
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rollout.faults.conditions import (
    becomes_root_by_a_password,
    engine_with,
    signs_in,
    started,
    upgraded_and_rolled_back,
)
from tests.rollout.faults.host import NAME, SSH_PORT, Host
from tests.rollout.operator import NEWEST, docker, folded

# What CIS' benchmark for Docker asks of daemon.json, and a mirror of registries that is not there. "userland-proxy" is
# left out: without one the engine writes to /proc/sys, which no container can.
HARDENED = {
    "icc": False, "no-new-privileges": True, "log-driver": "journald", "log-opts": {},
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
    "registry-mirrors": ["https://127.0.0.1:9"],
}  # fmt: skip


def a_user_who_becomes_root_by_doas_may_do_all(host: Host, folder: Path) -> None:
    install = "apt-get update -q && apt-get install -yq --no-install-recommends opendoas"
    assert host.does(f"{install} && echo 'permit dora as root' > /etc/doas.conf && chmod 600 /etc/doas.conf") == 0
    signs_in(host, "dora")
    becomes_root_by_a_password(host, folder, "dora", ansible_become_method="community.general.doas")


def a_hardened_engine_does(host: Host, _: Path) -> None:
    with engine_with(host, **HARDENED):
        assert host.does("docker run --rm --entrypoint true eduhub/pilot:py3.11") == 0
        assert host.operator.types("preflight").returncode == 0
        assert upgraded_and_rolled_back(host.operator)


def a_strict_sshd_is_enough(host: Host, folder: Path) -> None:
    """No sftp, one session a connection, a banner, a shell that greets, and files that only their owner may read."""
    strict = "MaxSessions 1\nAllowTcpForwarding no\nX11Forwarding no\nAllowAgentForwarding no\nBanner /etc/issue.net\n"
    signs_in(host, "grace", "--groups sudo")
    user = {"ansible_user": "grace", "ansible_become": True}
    assert host.does(f"""
        set -e
        cp /etc/ssh/sshd_config /root/sshd_config
        sed -i '/^Subsystem/d' /etc/ssh/sshd_config
        printf %s {shlex.quote(strict)} >> /etc/ssh/sshd_config
        echo 'Authorised users only.' > /etc/issue.net
        echo 'grace ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/grace
        echo 'Defaults umask=0077, umask_override, requiretty' >> /etc/sudoers.d/grace
        printf 'echo Welcome\numask 077\n' | tee /root/.bashrc > /home/grace/.bashrc
        systemctl restart ssh
    """) == 0  # fmt: skip
    try:
        before = started(host)
        refused = host.operator.with_variables(folder / "pipelining", **user).types("upgrade", "--python", NEWEST)
        said = "tty" in refused.stdout, "ansible_pipelining" in refused.stdout
        assert (refused.returncode, said, started(host)) == (2, (True, True), before)
        operator = host.operator.with_variables(folder / "grace", ansible_pipelining=False, **user)
        for words in (["preflight"], ["deploy"], ["verify"]):
            assert operator.types(*words).returncode == 0
        assert upgraded_and_rolled_back(operator)
    finally:
        host.does("mv /root/sshd_config /etc/ssh/sshd_config; rm -f /etc/sudoers.d/grace /root/.bashrc;"
                  " systemctl restart ssh")


# How far the control machine's clock is off in a test, in seconds.
OFF_SECONDS = 420


def a_clock_that_is_minutes_off_stops_no_rollback(host: Host, folder: Path) -> None:
    """The control machine's is shifted, by a library that Debian has; host and containers keep theirs."""
    assert host.does("apt-get update -q && apt-get install -yq --no-install-recommends libfaketime") == 0
    library = folder / "libfaketime.so.1"
    found = host.says("ls /usr/lib/*/faketime/libfaketime.so.1")
    docker("cp", f"{NAME}:{found}", str(library))
    shifted = {**os.environ, "LD_PRELOAD": str(library), "FAKETIME": f"+{OFF_SECONDS}"}

    def types(*words: str) -> tuple[int, str]:
        done = subprocess.run(host.operator.command(*words), env=shifted, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)  # fmt: skip
        print(f"$ ./invoke {' '.join(words)}\n{done.stdout}[exit {done.returncode}]")
        return done.returncode, folded(done.stdout)

    before = started(host)
    for words in (["preflight"], ["upgrade", "--python", NEWEST]):
        code, said = types(*words)
        assert (code, "behind the control machine's" in said, started(host)) == (2, True, before)
    assert host.operator.types("upgrade", "--python", NEWEST).returncode == 0
    for words in (["status"], ["rollback"]):
        assert types(*words)[0] == 0


def a_host_reached_by_ipv6(host: Host, folder: Path) -> None:
    with forwarded("::1", SSH_PORT) as port:
        for name in ("faultshost", "::1"):
            operator = host.operator.with_variables(folder / str(len(name)), ansible_host="::1", ansible_port=port)
            hosts = operator.inventory / "hosts.yml"
            hosts.write_text(hosts.read_text().replace("faultshost:", f"'{name}':"))
            for words in (["status"], ["verify"]):
                assert operator.types(*words).returncode == 0
            assert upgraded_and_rolled_back(operator)


@contextmanager
def forwarded(address: str, to: int) -> Iterator[int]:
    """Listen on an address of IPv6 as long as the block lasts, each connection passed on to the port `to` here."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", to)) as there:
                ends = {self.request: there, there: self.request}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        address_family, daemon_threads, block_on_close = socket.AF_INET6, True, False

    with Server((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


CONDITIONS: list[Callable[[Host, Path], None]] = [
    a_user_who_becomes_root_by_doas_may_do_all, a_hardened_engine_does, a_strict_sshd_is_enough,
    a_clock_that_is_minutes_off_stops_no_rollback, a_host_reached_by_ipv6,
]  # fmt: skip
