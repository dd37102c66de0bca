"""Hosts as institutions have them: each condition is made on the machine, what the toolkit says is held, and undone.

A condition begins with the oldest Python live, confirmed and unlocked, and leaves the site served.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rollout.faults.acme import an_acme_server_gives_the_certificate_and_renews_it
from tests.rollout.faults.host import INNER, NAME, SSH_PORT, Host
from tests.rollout.faults.play import live
from tests.rollout.faults.strike import plone_answers
from tests.rollout.operator import NEWEST, Operator, docker, folded, until

DAEMON = "/etc/docker/daemon.json"
# Plone starts anew where the engine does not keep containers.
SERVED_SECONDS = 240


def asked(operator: Operator, *words: str) -> tuple[int, set[str]]:
    """Type a verb with --json; return its exit code and the codes of what it says of the host."""
    done = operator.types(*words, "--json")
    (found,) = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])[0]["hosts"].values()
    return done.returncode, {message["code"] for message in found["messages"]}


def upgraded_and_rolled_back(operator: Operator) -> bool:
    """Return whether the host went to the newest Python and back, as its operator asked."""
    there, back = ["upgrade", "--python", NEWEST], ["rollback"]
    return all(operator.types(*words).returncode == 0 for words in (there, back))


def served(host: Host) -> bool:
    """Return whether Plone answers through the edge, and no container of the stack waits to be healthy."""
    waiting = f"docker ps --quiet --filter name=^{INNER}- --filter health=starting --filter health=unhealthy"
    return plone_answers() and host.does(f'docker info && test -z "$({waiting})"') == 0


def signs_in(host: Host, user: str, more: str = "") -> None:
    """Make a user on the host who signs in with the key of root there; `more` are options of useradd."""
    made = f"""
        id {user} || useradd --create-home --shell /bin/bash {more} {user}
        install --directory --owner {user} --group {user} --mode 700 /home/{user}/.ssh
        install --owner {user} --group {user} --mode 600 /root/.ssh/authorized_keys /home/{user}/.ssh/
    """
    assert host.does(made) == 0


def started(host: Host) -> str:
    """Return when the containers that serve were started."""
    names = " ".join(f"{INNER}-{name}" for name in ("edge", "plone", live(host)["slot"]))
    return host.says(f"docker inspect --format '{{{{.Name}}}} {{{{.State.StartedAt}}}}' {names}")


@contextmanager
def engine_with(host: Host, **settings: Any) -> Iterator[None]:
    """Restart the engine with other settings, as long as the block lasts; the site is served again in the end."""
    before = host.says(f"cat {DAEMON}")

    def restart(text: str) -> None:
        # systemd allows three starts within a minute.
        restarted = "systemctl reset-failed docker; systemctl restart docker"
        assert host.does(f"printf %s {shlex.quote(text)} > {DAEMON} && {restarted}") == 0
        until("the engine answers", lambda: host.does("docker info") == 0, 60, pause=0.5)

    try:
        restart(json.dumps({**json.loads(before), **settings}))
        yield
    finally:
        restart(before)
        until("the site is served", lambda: served(host), SERVED_SECONDS, pause=1)


def a_remapping_engine_is_refused(host: Host, _: Path) -> None:
    ids = "grep -q dockremap /etc/subuid || echo dockremap:100000:65536 | tee -a /etc/subuid /etc/subgid"
    assert host.does(f"(id dockremap || useradd --system --user-group dockremap) && ({ids})") == 0
    with engine_with(host, **{"userns-remap": "default"}):
        assert asked(host.operator, "preflight") == (2, {"engine_unsupported"})
        assert asked(host.operator, "upgrade", "--python", NEWEST) == (2, {"engine_unsupported"})


def a_dead_log_server_stops_no_rollout(host: Host, _: Path) -> None:
    address = {"log-driver": "syslog", "log-opts": {"syslog-address": "tcp://127.0.0.1:9"}}
    with engine_with(host, **address):
        assert host.does("docker run --rm --entrypoint true eduhub/pilot:py3.11") != 0, "the log server is not missed"
        assert host.operator.types("status").returncode == 0
        assert upgraded_and_rolled_back(host.operator)


def another_subnet_than_the_networks_is_refused(host: Host, folder: Path) -> None:
    operator = host.operator.with_variables(folder / "subnet", docker_host_subnet="10.213.0.0/24")
    assert asked(operator, "preflight") == (2, {"network_differs"})
    assert asked(operator, "deploy") == (2, {"network_differs"})


def a_user_with_a_sudo_password_may_do_all(host: Host, folder: Path) -> None:
    signs_in(host, "ada", "--groups sudo")
    becomes_root_by_a_password(host, folder, "ada")


def becomes_root_by_a_password(host: Host, folder: Path, name: str, **more: str) -> None:
    """Upgrade and roll back as a user of the host with a password, once that is given; `more` is how root is become."""
    assert host.does(f"echo {name}:secret | chpasswd") == 0
    user = {"ansible_user": name, "ansible_become": True, **more}
    before = started(host)
    refused = host.operator.with_variables(folder / "nothing", **user).types("upgrade", "--python", NEWEST)
    assert (refused.returncode, "--ask-become-pass" in refused.stdout, started(host)) == (2, True, before)
    operator = host.operator.with_variables(folder / "given", **user, ansible_become_password="secret")  # noqa: S106
    assert upgraded_and_rolled_back(operator)


def an_edited_configuration_is_found_and_healed(host: Host, _: Path) -> None:
    configuration = f"/etc/{INNER}/edge/haproxy.cfg"
    assert host.does(f"grep -q 'timeout client ' {configuration}") == 0
    assert host.does(f"sed -i 's/timeout client .*/timeout client 7s/' {configuration}") == 0
    assert asked(host.operator, "verify") == (3, {"edge_configuration_edited"})
    assert host.operator.types("deploy").returncode == 0
    assert host.does(f"grep -q 'timeout client 7s' {configuration}") == 1


def nothing_is_run_in_tmp(host: Host, _: Path) -> None:
    strict = "mount -o remount,noexec /tmp && mount --bind /var/tmp /var/tmp && mount -o remount,bind,noexec /var/tmp"
    try:
        assert host.does(strict) == 0
        for folder in ("/tmp", "/var/tmp"):  # noqa: S108 - the host's own
            assert host.does(f"cp /bin/true {folder}/true && {folder}/true") == 126
        assert upgraded_and_rolled_back(host.operator)
    finally:
        host.does("rm -f /tmp/true /var/tmp/true; umount /var/tmp; mount -o remount,exec /tmp")


def an_engine_that_was_stopped_is_started(host: Host, _: Path) -> None:
    before = started(host)
    assert host.does("systemctl stop docker.socket docker.service") == 0
    assert host.does("docker info") != 0
    assert plone_answers(), "containers do not outlive their engine"
    assert host.operator.types("deploy").returncode == 0
    assert started(host) == before


def a_restart_of_the_engine_that_stops_containers_is_told(host: Host, _: Path) -> None:
    with engine_with(host, **{"live-restore": False}):
        until("the site is served", lambda: served(host), SERVED_SECONDS, pause=1)
        done = host.operator.types("preflight")
        assert (done.returncode, "runs without live-restore" in folded(done.stdout)) == (0, True)
        assert upgraded_and_rolled_back(host.operator)


def removed_images_are_missed_by_no_rollback(host: Host, _: Path) -> None:
    assert host.operator.types("upgrade", "--python", NEWEST).returncode == 0
    assert host.does("docker image prune --all --force") == 0
    assert host.operator.types("status").returncode == 0
    assert host.operator.types("rollback").returncode == 0


def behind_a_jump_host_all_works(host: Host, folder: Path) -> None:
    """The host itself is the jump host: from there its own address is one that nobody reaches from outside."""
    options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
    jump = f"ssh {options} -i {host.key} -p {SSH_PORT} -W %h:%p root@127.0.0.1"
    operator = host.operator.with_variables(
        folder / "behind", ansible_host=host.says("hostname -i"), ansible_port=22,
        ansible_ssh_common_args=f"{options} -o ProxyCommand='{jump}'",
    )  # fmt: skip
    assert upgraded_and_rolled_back(operator)


def a_user_who_becomes_root_by_su_may_do_all(host: Host, folder: Path) -> None:
    signs_in(host, "eve")
    assert host.does("echo root:secret | chpasswd") == 0
    operator = host.operator.with_variables(
        folder / "su", ansible_user="eve", ansible_become=True, ansible_become_method="su",
        ansible_become_password="secret",  # noqa: S106
    )  # fmt: skip
    assert upgraded_and_rolled_back(operator)


def a_bare_environment_of_the_control_machine_suffices(host: Host, _: Path) -> None:
    """As of a CI job: no HOME, a C locale, another time zone, 40 columns, no colour, a pipe."""
    bare = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "XYZ-5:45", "COLUMNS": "40", "NO_COLOR": "1"}
    for words in (["upgrade", "--python", NEWEST], ["rollback"], ["status"]):
        done = subprocess.run(host.operator.command(*words), env=bare, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=600, check=False)  # fmt: skip
        said = (done.stdout + done.stderr).decode("utf-8")
        assert (done.returncode, "Traceback" in said, "\033" in said) == (0, False, False), said


def a_state_without_room_for_files_is_refused(host: Host, _: Path) -> None:
    state = f"/var/lib/{INNER}"
    used = int(host.says(f"df --output=iused {state}").split()[-1])
    try:
        assert host.does(f"mount -o remount,nr_inodes={used + 20} {state}") == 0
        assert asked(host.operator, "preflight") == (2, {"inodes_short"})
        assert asked(host.operator, "upgrade", "--python", NEWEST) == (2, {"inodes_short"})
    finally:
        assert host.does(f"mount -o remount,nr_inodes=100000 {state}") == 0


def names_of_the_host_alone_reach_the_release(host: Host, _: Path) -> None:
    assert host.does("echo '192.0.2.7 cms.campus.test' >> /etc/hosts") == 0
    assert host.operator.types("upgrade", "--python", NEWEST).returncode == 0
    path = f"$(docker inspect --format '{{{{.HostsPath}}}}' {INNER}-{live(host)['slot']})"
    assert host.does(f"grep -q '192.0.2.7.cms.campus.test' {path}") == 0
    assert host.operator.types("rollback").returncode == 0


def a_renamed_host_goes_on(host: Host, _: Path) -> None:
    name = host.says("hostname")
    try:
        assert host.does("hostname renamed") == 0
        for words in (["status"], ["verify"], ["preflight"]):
            assert host.operator.types(*words).returncode == 0
        assert upgraded_and_rolled_back(host.operator)
        assert host.journal()[-1]["host"] == "renamed"
    finally:
        host.does(f"hostname {name}")


# A package whose newer version asks for a reboot, in a repository of the machine's own: no mirror is asked.
OLD_PACKAGE = r"""
    mkdir -p /srv/apt /srv/deb/DEBIAN && cd /srv/apt
    for version in 1 2; do
        printf 'Package: eduhub-old\nVersion: %s\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n' \
            $version > /srv/deb/DEBIAN/control
        printf '#!/bin/sh\necho eduhub-old | tee /run/reboot-required.pkgs > /run/reboot-required\n' \
            > /srv/deb/DEBIAN/postinst
        chmod 755 /srv/deb/DEBIAN/postinst
        dpkg-deb --build /srv/deb eduhub-old_$version.deb
    done
    dpkg --install eduhub-old_1.deb && rm /run/reboot-required*
    { cat /srv/deb/DEBIAN/control; echo "Filename: ./eduhub-old_2.deb"; echo "Size: $(stat -c %s eduhub-old_2.deb)"
      echo "SHA256: $(sha256sum eduhub-old_2.deb | cut -d' ' -f1)"; } > Packages
    mv /etc/apt/sources.list /srv/sources.list
    echo 'deb [trusted=yes] file:/srv/apt ./' > /etc/apt/sources.list
"""


def an_old_package_is_updated_and_the_host_rebooted(host: Host, _: Path) -> None:
    try:
        assert host.does(OLD_PACKAGE) == 0
        docker("update", "--restart", "unless-stopped", NAME)  # what starts a container that reboots
        assert asked(host.operator, "host.patch") == (2, {"consent_missing"})
        assert host.operator.types("host.patch", "--yes").returncode == 0
        line = next(line for line in reversed(host.journal()) if line["step"] == "patch")
        assert (line["event"], line["updated"], line["rebooted"]) == ("patched", 1, True)
        assert host.says("dpkg-query --show --showformat '${Version}' eduhub-old") == "2"
        assert (host.lock(), served(host)) == (None, True)
        before = started(host)
        assert host.operator.types("host.patch").returncode == 0
        assert started(host) == before
    finally:
        docker("update", "--restart", "no", NAME)
        host.does("dpkg --purge eduhub-old; mv /srv/sources.list /etc/apt/sources.list; rm -rf /srv/apt /srv/deb")


CONDITIONS: list[Callable[[Host, Path], None]] = [
    a_remapping_engine_is_refused, a_dead_log_server_stops_no_rollout, another_subnet_than_the_networks_is_refused,
    a_user_with_a_sudo_password_may_do_all, an_edited_configuration_is_found_and_healed, nothing_is_run_in_tmp,
    an_engine_that_was_stopped_is_started, a_restart_of_the_engine_that_stops_containers_is_told,
    removed_images_are_missed_by_no_rollback, behind_a_jump_host_all_works, a_user_who_becomes_root_by_su_may_do_all,
    an_acme_server_gives_the_certificate_and_renews_it,
    an_old_package_is_updated_and_the_host_rebooted, a_bare_environment_of_the_control_machine_suffices,
    a_state_without_room_for_files_is_refused, names_of_the_host_alone_reach_the_release,
    a_renamed_host_goes_on,
]  # fmt: skip
