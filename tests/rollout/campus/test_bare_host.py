"""A host as a campus has it becomes one of ours: little is as on a plain Debian, and nothing of it is in the way.

Its packages come by a proxy that apt.conf names, the engine's data has a file system of its own, nothing may run in
/tmp, files are their owner's alone, its network has a small MTU, users become root by su, and Plone is the
institution's, by TLS with a certificate of a private authority.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from builder import debian
from lab import machine
from tests.rollout.campus import servers
from tests.rollout.operator import CHECKOUT, NEWEST, OLDEST, Operator, docker, folded, until
from tests.rotation import STORY
from tests.templates import certificates

pytestmark = STORY

STACK = os.environ.get("EDUHUB_FAULTS_STACK", "eduhub-test")
FIRST_PORT = int(os.environ.get("EDUHUB_FAULTS_PORT", "28000"))
NAME, INNER = f"{STACK}-campus", "eduhub-campus"
SSH_PORT, EDGE_PORT = FIRST_PORT + 23, FIRST_PORT + 89
PLONE = "cms.campus.test"
MTU = 1450
DATA_ROOT = "/srv/docker"


@dataclass(frozen=True)
class Campus:
    """The host, its operator, and what stands around it."""

    folder: Path
    operator: Operator
    plone: servers.Server
    proxy: servers.Server

    def says(self, script: str) -> str:
        """Run a shell script on the host as root; return what it printed."""
        return docker("exec", NAME, "sh", "-c", f"set -e; {script}")


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Campus]:
    """The host, bare, and a user who becomes root there by su."""
    remove()
    # The host reaches this machine as its gateway.
    here = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    with ExitStack() as stack:
        ca = certificates.authority(tmp_path / "authority")
        plone = stack.enter_context(servers.plone(here, *certificates.certificate(ca.parent, "cms", PLONE)))
        proxy = stack.enter_context(servers.proxy(here))
        stack.callback(remove)
        machine.start(
            NAME, machine.plain("bookworm"), "--hostname", "campus-1", "--label", f"org.eduhub.stack={STACK}",
            "--volume", DATA_ROOT, "--add-host", f"{PLONE}:{here}",
            "--publish", f"127.0.0.1:{EDGE_PORT}:{EDGE_PORT}", "--publish", f"127.0.0.1:{SSH_PORT}:22",
        )  # fmt: skip
        made = Campus(tmp_path, Operator(inventory(tmp_path, plone.port, ca)), plone, proxy)
        until("the host boots", lambda: "running" in made.says("systemctl is-system-running || true"), 60, pause=0.5)
        made.says(of_a_campus(here, proxy.port))
        machine.authorise(NAME, tmp_path / "key")
        made.says("install -o ada -m 600 /root/.ssh/authorized_keys /home/ada/.ssh/")
        yield made


def remove() -> None:
    docker("rm", "--force", "--volumes", NAME)


def of_a_campus(here: str, proxy: int) -> str:
    """Return the script that makes a plain Debian such a host."""
    mirrors = {line.split()[-3].split("/")[2] for line in debian.sources("bookworm")}
    daemon = {"data-root": DATA_ROOT, "registry-mirrors": ["https://127.0.0.1:9"]}
    return f"""
        echo 'Acquire::http::Proxy "http://{here}:{proxy}";' > /etc/apt/apt.conf.d/10proxy
        echo '192.0.2.1 {" ".join(mirrors)}' >> /etc/hosts
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends openssh-server
        mkdir /etc/docker && printf %s {shlex.quote(json.dumps(daemon))} > /etc/docker/daemon.json
        ip link set eth0 mtu {MTU}
        mount -o remount,noexec /tmp
        mount --bind /var/tmp /var/tmp && mount -o remount,bind,noexec /var/tmp
        useradd --create-home --shell /bin/bash ada
        printf 'root:secret\\nada:other\\n' | chpasswd
        install -d -o ada -m 700 /home/ada/.ssh
        echo 'umask 077' | tee /root/.bashrc > /home/ada/.bashrc
        systemctl restart ssh
    """  # noqa: S608 - no SQL


def inventory(folder: Path, plone: int, ca: Path) -> Path:
    """Write the inventory of the host into `folder`, with what is set for all hosts, as institutions do."""
    machine.new_key(folder / "key")
    variables = {
        "ansible_host": "127.0.0.1", "ansible_port": SSH_PORT, "ansible_user": "ada",
        "ansible_become": True, "ansible_become_method": "su", "ansible_become_password": "secret",
        "ansible_ssh_private_key_file": str(folder / "key"), "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        "eduhub_stack": INNER, "edge_address": "0.0.0.0", "edge_port": EDGE_PORT,  # noqa: S104
        "plone_url": f"https://{PLONE}:{plone}/Plone", "plone_ca_file": "campus-ca.pem",
        "pilot_shift_steps": [100], "pilot_watch_seconds": 1, "pilot_gate_contract": "off",
        "pilot_gate_performance": "off", "pilot_gate_runtime": "off",
    }  # fmt: skip
    hosts = {"hosts": {"campus-1": {}}}
    path = folder / "inventory"
    path.mkdir()
    document = {"all": {"vars": variables, "children": {"edge": hosts, "bridge": hosts}}}
    (path / "hosts.yml").write_text(yaml.safe_dump(document))
    (path / "campus-ca.pem").write_text(ca.read_text())
    return path


def deploys(operator: Operator, python: str) -> subprocess.CompletedProcess[str]:
    """Deploy as `./invoke deploy` does, but for the images, which are built elsewhere."""
    for verb in ("engine", "deploy"):
        words = [sys.executable, "-m", "front", verb, "--inventory", str(operator.inventory), "--values",
                 json.dumps({"eduhub_python": python})]  # fmt: skip
        done = subprocess.run(words, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": "ansible"}, timeout=900, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # fmt: skip
        print(f"$ {verb}\n{done.stdout}[exit {done.returncode}]")
        if done.returncode:
            break
    return done


def page() -> bytes:
    """Return what the public address answers for a page of Plone that no bridge has stored."""
    with urllib.request.urlopen(f"http://127.0.0.1:{EDGE_PORT}/plone/@search?b_size=1", timeout=10) as answer:
        return bytes(answer.read())


def ready() -> bool:
    """Return whether the live slot reaches Plone."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{EDGE_PORT}/health/ready", timeout=20):
            return True
    except OSError:
        return False


def test_a_bare_host_of_a_campus_is_deployed_upgraded_and_rolled_back(campus: Campus) -> None:
    # A file system that is too small for the engine's data is found where it is mounted.
    campus.says(f"mkdir -p {DATA_ROOT} && mount -t tmpfs -o size=200m tmpfs {DATA_ROOT}")
    refused = campus.operator.types("preflight")
    assert (refused.returncode, f"{DATA_ROOT} needs" in folded(refused.stdout)) == (2, True)
    campus.says(f"umount {DATA_ROOT}")

    asked = len(campus.proxy.asked)
    assert deploys(campus.operator, OLDEST).returncode == 0
    assert any("docker.io" in path for path in campus.proxy.asked[asked:])
    assert campus.says("docker info --format '{{.DockerRootDir}}'") == DATA_ROOT
    blue = f"$(docker inspect --format '{{{{.State.Pid}}}}' {INNER}-blue)"
    assert campus.says(f"nsenter --target {blue} --net cat /sys/class/net/eth0/mtu || "
                       f"cat /proc/{blue}/root/sys/class/net/eth0/mtu") == str(MTU)  # fmt: skip
    assert page() == servers.GREETING

    assert campus.operator.types("verify").returncode == 0
    for words in (["upgrade", "--python", NEWEST], ["rollback"]):
        assert campus.operator.types(*words).returncode == 0
        assert page() == servers.GREETING

    # A firewall of the campus that forwards nothing: what stops is named with the chain, and what helps does.
    campus.says("apt-get -qq install -y --no-install-recommends nftables && nft add table inet campus")
    chain = "nft 'add chain inet campus forward { type filter hook forward priority 0; policy %s; }'"
    campus.says(chain % "drop")
    until("the bridge misses Plone", lambda: not ready(), 60, pause=1.5)
    refused = campus.operator.types("preflight")
    assert (refused.returncode, "table inet campus" in folded(refused.stdout)) == (2, True)
    assert campus.operator.types("verify").returncode == 3
    campus.says("""nft 'add rule inet campus forward iifname "br-*" accept'
                   nft 'add rule inet campus forward oifname "br-*" accept'""")
    assert campus.operator.types("verify").returncode == 0
    accepted = campus.operator.types("preflight")
    assert (accepted.returncode, "inet campus" in folded(accepted.stdout)) == (0, False)
