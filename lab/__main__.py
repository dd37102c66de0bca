"""`python -m lab up|down`: some hosts and a Plone for all of them, and the inventory `lab` that names them.

The hosts are reached by ssh on the loopback address, with a key made for them. Exits with 0; with 2 where nothing was
touched; with 1 where the lab is not, or not all, up: `up` again goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import yaml

from builder import cache
from lab import machine
from lab.machine import docker

CHECKOUT = Path(__file__).resolve().parents[1]
# A lab beside the operator's has a name and ports of its own: that of the tests.
LAB = "-".join(["lab", *filter(None, [os.environ.get("EDUHUB_LAB")])])
INVENTORY = CHECKOUT / "inventories" / LAB
STACK = f"eduhub-{LAB}"
STACK_LABEL, SUITE_LABEL = "org.eduhub.stack", "org.eduhub.suite"
PLONE, PLONE_IMAGE = f"{STACK}-plone", "eduhub/plone:6.0.13-py3.11"
PORT = int(os.environ.get("EDUHUB_LAB_PORT", "9080"))
SSH_PORT = PORT + 140  # host N publishes PORT + N and SSH_PORT + N
FRONT_SSH_PORT = PORT + 160  # front host N publishes FRONT_SSH_PORT + N; the lab's network has its public address
MOST_HOSTS, MOST_FRONTS = 19, 2
BOOT_SECONDS, PLONE_SECONDS = 120.0, 300.0
# Room for what a host and Plone may take; the machine's own caches are not counted.
HOST_MB, PLONE_MB = 500, 400
ASK_PLONE = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/Plone', timeout=20)"


class LabError(Exception):
    """Nothing was touched, and nothing can be done; the text says why, and what to type."""


class LateError(Exception):
    """Something did not come up in time; the text says what, and what it printed last."""


def up(hosts: int, fronts: int, suite: str) -> str:
    """Start what is missing of the lab and write its inventory; return the URL of the front hosts, empty without any.

    Raises LabError before anything is touched.
    """
    found = containers()
    check(found, hosts + fronts, suite)
    bridges = [f"lab{number}" for number in range(1, hosts + 1)]
    names = [*bridges, *(f"front{number}" for number in range(1, fronts + 1))]
    show(f"Host image ({suite})")
    image = machine.with_engine(suite)
    key = the_key()
    if not docker("network", "ls", "--quiet", "--filter", f"name=^{STACK}$"):
        docker("network", "create", "--label", f"{STACK_LABEL}={STACK}", STACK)
    show("Plone, with sample content")
    if not awake(PLONE, found):
        start_plone(key.parent)
    for name in names:
        show(f"Host {name}")
        container = f"{STACK}-{name}"
        if not awake(container, found):
            machine.start(
                # A reboot inside ends the container, and this starts it again; `docker stop` is as without.
                container, image, "--hostname", name, "--network", STACK, "--restart", "unless-stopped",
                "--label", f"{STACK_LABEL}={STACK}", "--label", f"{SUITE_LABEL}={suite}",
                *(word for port in published(name) for word in ("--publish", f"127.0.0.1:{port}")),
            )  # fmt: skip
        machine.authorise(container, key)
    for name in names:
        until(f"Host {name}", BOOT_SECONDS, f"{STACK}-{name}", "systemctl", "is-active", "ssh", "docker")
    until("Plone", PLONE_SECONDS, PLONE, "python3", "-c", ASK_PLONE)
    addresses = {name: address(f"{STACK}-{name}") for name in names}
    public = public_address() if fronts else None
    INVENTORY.mkdir(parents=True, exist_ok=True)
    (INVENTORY / "hosts.yml").write_text(inventory(addresses, key, address(PLONE), public), encoding="utf-8")
    return f"http://{public.ip}/" if public else ""


def published(name: str) -> list[str]:
    """Return the ports that a host publishes on the loopback address, each as this machine's and its own."""
    number = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    if name.startswith("front"):
        return [f"{FRONT_SSH_PORT + number}:22"]
    return [f"{PORT + number}:8080", f"{SSH_PORT + number}:22"]


def address(container: str) -> str:
    """Return the address that a container has in the lab's network."""
    return docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)


def public_address() -> IPv4Interface:
    """Return the address that front hosts share, with its prefix: the network's last, which the engine gives last."""
    network = IPv4Network(docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", STACK))
    return IPv4Interface(f"{network[-2]}/{network.prefixlen}")


def down() -> None:
    """Remove the lab's containers with their volumes, its network, key and inventory."""
    if found := containers():
        docker("rm", "--force", "--volumes", *found)
    if networks := docker("network", "ls", "--quiet", "--filter", f"label={STACK_LABEL}={STACK}").split():
        docker("network", "rm", *networks)
    shutil.rmtree(INVENTORY, ignore_errors=True)
    shutil.rmtree(cache.home() / LAB, ignore_errors=True)


def containers() -> dict[str, dict[str, Any]]:
    """Return what the engine says of each of the lab's containers, by name. Raises LabError without an engine."""
    try:
        names = docker("ps", "--all", "--quiet", "--filter", f"label={STACK_LABEL}={STACK}").split()
        found = json.loads(docker("inspect", *names)) if names else []
    except FileNotFoundError:
        raise LabError("There is no Docker on this machine.\nNext: ./invoke deploy  # installs it") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"Docker does not answer: {error.stderr.strip()}") from None
    return {container["Name"].lstrip("/"): container for container in found}


def check(found: dict[str, dict[str, Any]], hosts: int, suite: str) -> None:
    """Raise LabError where a lab of another kind is there, an image is missing, or memory does not suffice."""
    there = {name: each["Config"]["Labels"][SUITE_LABEL] for name, each in found.items() if name != PLONE}
    if len(there) > hosts or set(there.values()) - {suite}:
        kind = ", ".join(sorted(set(there.values())))
        raise LabError(f"There is a lab of {len(there)} hosts ({kind}) already.\nNext: ./invoke lab.down")
    if not docker("images", "--quiet", PLONE_IMAGE):
        raise LabError(f"The image {PLONE_IMAGE} is not built.\nNext: ./invoke images.build --names plone --missing")
    more = (hosts - len(there)) * HOST_MB + (0 if PLONE in found else PLONE_MB)
    if more > (free := available_mb()):
        raise LabError(
            f"{hosts} hosts, with a release and the next one on each, and Plone need {more} MB more memory, and "
            f"{free} MB are free: type fewer --hosts."
        )
    show(f"{hosts} hosts and Plone; with a release and the next one on each they need {more} MB more memory.")


def available_mb() -> int:
    """Return how much memory programs may still take, in MB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith("MemAvailable:")]
    return int(line.split()[1]) // 1024


def the_key() -> Path:
    """Return the lab's key, made where it is missing, in a folder of its own outside the checkout."""
    key = cache.home() / LAB / "key"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    if not key.exists():
        machine.new_key(key)
    return key


def awake(name: str, found: dict[str, dict[str, Any]]) -> bool:
    """Return whether the container exists; then it runs, for one that was stopped or paused is started again."""
    if name not in found:
        return False
    state = found[name]["State"]
    if state["Paused"]:
        docker("unpause", name)
    elif not state["Running"]:
        docker("start", name)
    return True


def start_plone(folder: Path) -> None:
    """Start the Plone that all hosts ask, with sample content and a password that is in `folder`."""
    password = folder / "plone_admin_password"
    if not password.exists():
        password.write_text(secrets.token_urlsafe(18), encoding="ascii")
    password.chmod(0o444)  # Plone's user reads it; the folder is closed
    secret = "/run/secrets/plone_admin_password"  # noqa: S105 - a path
    docker(
        "run", "--detach", "--name", PLONE, "--label", f"{STACK_LABEL}={STACK}", "--network", STACK,
        "--volume", "/data", "--volume", f"{password}:{secret}:ro", "--env", f"ADMIN_PASSWORD_FILE={secret}",
        "--env", "SITE=Plone", "--env", "SAMPLE_CONTENT=courses", PLONE_IMAGE,
    )  # fmt: skip


def inventory(addresses: Mapping[str, str], key: Path, plone: str, public: IPv4Interface | None = None) -> str:
    """Return the text of the inventory's hosts.yml.

    `addresses`: of each host in the lab's network; `plone`: that of Plone; `public`: the one that front hosts share.
    """
    variables: dict[str, Any] = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_python_interpreter": "/usr/bin/python3",
        # The next lab's hosts have other keys at the same ports.
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        "edge_address": "0.0.0.0",  # noqa: S104 - inside the host, which publishes it on the loopback address
        "plone_url": f"http://{plone}:8080/Plone",
        "rollout_soak_seconds": 10,
    }
    groups: dict[str, Any] = {"bridge": {"hosts": {}}}
    for name, own in addresses.items():
        ssh = int(published(name)[-1].partition(":")[0])
        group = groups.setdefault("front" if name.startswith("front") else "bridge", {"hosts": {}})
        group["hosts"][name] = {"ansible_port": ssh, **({"front_host_address": own} if public else {})}
    if public:
        # localhost, by which this machine asks a bridge host.
        variables |= {"edge_hosts": [str(public.ip), "localhost"], "front_virtual_addresses": [str(public)]}
        groups["front"]["vars"] = {"edge_port": 80}
    text = yaml.safe_dump({"all": {"vars": variables, "children": groups}}, sort_keys=False)
    return f"# Made by `./invoke lab.up`, removed by `./invoke lab.down`.\n{text}"


def until(what: str, seconds: float, container: str, *words: str) -> None:
    """Wait until `words` succeed in the container. Raises LateError after `seconds`, or once it has ended."""
    end = time.monotonic() + seconds
    while True:
        try:
            docker("exec", container, *words)
        except subprocess.CalledProcessError as error:
            runs = docker("inspect", "--format", "{{.State.Running}}", container) == "true"
            if runs and time.monotonic() < end:
                time.sleep(1)
                continue
            why = f"is not up after {seconds:.0f} s: {error.stderr.strip()}" if runs else "has ended"
            tail = ["docker", "logs", "--tail", "5", container]
            logs = subprocess.run(tail, capture_output=True, text=True, check=False)
            raise LateError(f"{what} {why}\n{logs.stdout}{logs.stderr}".rstrip()) from None
        else:
            return


def number_asked(option: str, text: str, least: int, most: int) -> int:
    """Return how many of something are asked for. Raises LabError."""
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    raise LabError(f"{option} is {text!r}, but must be a number from {least} to {most}.")


def suite_asked(text: str) -> str:
    """Return the suite that is asked for. Raises LabError."""
    if text in machine.SUITES:
        return text
    raise LabError(f"--suite is {text!r}, but must be {' or '.join(machine.SUITES)}.")


def show(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--hosts", default="3")
    parser.add_argument("--fronts", default="0")
    parser.add_argument("--suite", default=machine.SUITES[0])
    options = parser.parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        if options.verb == "down":
            down()
            show("The lab is removed.")
            return 0
        hosts = number_asked("--hosts", options.hosts, 1, MOST_HOSTS)
        public = up(hosts, number_asked("--fronts", options.fronts, 0, MOST_FRONTS), suite_asked(options.suite))
    except LabError as error:
        return told(2, f"invoke: {error}")
    except LateError as error:
        return told(1, f"invoke: {error}", *AGAIN)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(error.stderr or "").strip() or str(error)
        return told(1, f"invoke: {' '.join(error.cmd[:2])} failed: {said}", *AGAIN)
    except KeyboardInterrupt:
        return told(1, f"\nInterrupted: lab.{options.verb} is not complete.", *AGAIN)
    fronts = f"; the front hosts at {public}" if public else ""
    show(
        f"The lab is up, after {time.monotonic() - began:.0f} s. Host 1 will answer at http://localhost:{PORT + 1}, "
        f"host 2 at {PORT + 2}, and so on{fronts}.\n"
        f"Next: ./invoke deploy --python 3.9 --inventory {LAB}\n      ./invoke lab.down"
    )
    return 0


AGAIN = (
    "Next: ./invoke lab.up    # with the same options, goes on from there",
    "      ./invoke lab.down  # removes what there is",
)


def told(code: int, *lines: str) -> int:
    """Print lines on stderr; return `code`."""
    print(*lines, sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
