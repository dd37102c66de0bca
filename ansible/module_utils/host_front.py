"""What a front host serves and what would stop it, judged from what the host said. Pure."""

from __future__ import annotations

import csv
import io
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

Finding = Mapping[str, Any]

KEEPALIVED = "/etc/keepalived/keepalived.conf"
MARK = "written by ./invoke deploy of EduHub rollout"
NAMES = {"kernel": "kernel", "engine": "Docker Engine", "haproxy": "HAProxy"}


def answer(findings: Sequence[Finding], failed: int, message: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an answer: that of the first finding where there is one, with the exit code `failed`."""
    if findings:
        text = " ".join(each["message"] for each in findings)
        return {**data, "code": findings[0]["code"], "message": text, "exit": failed, "findings": findings, "next": []}
    return {**data, "code": "front_reported", "message": message, "exit": 0, "findings": [], "next": []}


def finding(code: str, message: str, *commands: Sequence[str]) -> Finding:
    """Return a finding: what is wrong, and what to type next."""
    return {"code": code, "message": message, "next": [list(each) for each in commands]}


def objections(asked: Mapping[str, Any], interfaces: Mapping[str, str], keepalived: str) -> Iterator[Finding]:
    """Yield what would stop a front host; `keepalived` is the configuration that the host has of it."""
    address = asked["address"]
    if not is_address(address):
        yield finding(
            "front_address_unknown",
            f"A front host needs the address by which bridge hosts know it, and {address!r} is none: set "
            "front_host_address, such as 192.0.2.21, for this host.",
        )
    elif plain(address) not in interfaces:
        yield finding(
            "front_address_not_here",
            f"{address} is no address of this host, whose own are {', '.join(sorted(interfaces))}: set "
            "front_host_address for this host to the one by which bridge hosts know it.",
        )
    if not asked["bridges"]:
        yield finding("front_bridges_missing", "The group bridge has no host that a front host could send requests to.")
    for name, each in zip(asked["bridges"], asked["bridge_addresses"]):
        if not is_address(each) or (is_address(address) and (":" in each) != (":" in address)):
            kind = "IPv6" if ":" in address else "IPv4"
            yield finding(
                "front_bridge_address_unknown",
                f"A front host needs an address of {kind} by which it reaches {name}, and {each!r} is none: set "
                f"front_host_address for {name}.",
            )
    if asked["unreachable"]:
        yield finding(
            "front_bridge_loopback",
            f"{', '.join(asked['unreachable'])} listen on a loopback address, where front hosts do not reach them: set "
            "edge_address for the group bridge, such as 0.0.0.0.",
        )
    if asked["bridges_too"]:
        yield finding(
            "front_also_bridge",
            "A host of the group front cannot be in the group bridge too, since both use the same port: leave it out "
            "of one, or deploy the front hosts as a stack of their own (eduhub_stack) from another inventory.",
        )
    if not asked["names"]:
        what = "Front hosts need edge_hosts, the names of the site: set it for the group all."
        yield finding("front_names_missing", what)
    if asked["acme"]:
        yield finding(
            "front_acme",
            "edge_acme_server cannot be used with front hosts, of which the ACME server reaches only one: take "
            "edge_tls_certificates, for the group front.",
        )
    yield from virtual_objections(asked, keepalived)


def virtual_objections(asked: Mapping[str, Any], keepalived: str) -> Iterator[Finding]:
    """Yield what would keep the host from having the addresses of the site."""
    for each in asked["virtual_addresses"]:
        if not is_interface(each):
            yield finding(
                "front_virtual_address_invalid",
                f"front_virtual_addresses holds {each!r}, but must hold addresses with their prefix length, such as "
                "192.0.2.10/24.",
            )
    addresses = [each for each in asked["virtual_addresses"] if is_interface(each)]
    if not addresses:
        return
    own = asked["address"]
    if is_address(own) and not any((":" in each) == (":" in own) for each in addresses):
        yield finding(
            "front_virtual_address_family",
            f"Front hosts speak with each other by {own}, and front_virtual_addresses has no address of "
            "that kind: add one, or set front_host_address to one of the other kind for each front host.",
        )
    listens = {plain(each) for each in asked["public"].split(",")}
    wanted = ({"::"} if ":" in each else {"::", "0.0.0.0"} for each in addresses)  # noqa: S104
    if not all(listens & each for each in wanted):
        yield finding(
            "front_address_bound",
            f"edge_address is {asked['public']}, where HAProxy would not answer at front_virtual_addresses: set it to "
            '"::" for the group front, which is IPv4 too.',
        )
    if keepalived.strip() and keepalived.splitlines()[0] != f"# {MARK}, stack {asked['stack']}":
        yield finding(
            "keepalived_in_use",
            f"{KEEPALIVED} is not of this stack: keepalived does something else on this host. Leave "
            "front_virtual_addresses out and let it move the address, or remove that file.",
        )


def sentence(state: Mapping[str, Any]) -> str:
    """Return what a front host serves, in words."""
    if not state["bridges"]:
        return "HAProxy does not answer on its admin socket."
    up = [name for name, status in state["bridges"].items() if is_up(status)]
    lost = [f"{name} is {status}" for name, status in state["bridges"].items() if not is_up(status)]
    holds = {True: "has", False: "does not have"}.get(state["active"])
    begin = f"This host {holds} the site's addresses. " if holds else ""
    begin += "It is drained. " if state["draining"] else ""
    text = f"{begin}{len(up)} of {len(state['bridges'])} bridge hosts get requests"
    return f"{text}; {', '.join(lost)}." if lost else f"{text}."


def drain_map(by: Optional[str]) -> str:
    """Return the map by which HAProxy knows whether the host is drained: `by` a verb, or not, where that is None.

    HAProxy passes over the line that names the verb.
    """
    return "draining 0\n" if by is None else f"# by {by}\ndraining 1\n"


def drained_by(text: str) -> Optional[str]:
    """Return which verb drained the host, from its drain map; None where the host is not drained."""
    if not re.search(r"(?m)^draining 1$", text):
        return None
    found = re.match(r"# by (\S+)\n", text)
    return found.group(1) if found else "drain"


def requests(table: str) -> tuple[int, int]:
    """Return how many requests are not over, and how many ended lately, from what `show table inflight` printed."""
    counts = [int(number) for number in re.findall(r"(?m)^0x[0-9a-f]+: key=.* conn_cur=(\d+)$", table)]
    return sum(1 for each in counts if each), counts.count(0)


def arrivals(sessions: str) -> list[str]:
    """Return by which address each request of the public came, from what `show sess all` printed."""
    return [plain(each) for each in re.findall(r"(?m)^  frontend=public .* addr=(\S+):\d+$", sessions)]


def version_of(info: str) -> str:
    """Return HAProxy's version, from what `show info` printed; empty where that has none."""
    found = re.search(r"(?m)^Version: (.+)$", info)
    return found.group(1).strip() if found else ""


def patched(given: Mapping[str, Any], after: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return what an update of packages changed, as a sentence and as fields.

    `given`: the `versions` before, how many `updates` there were, and whether the host was `rebooted`.
    """
    before, count, rebooted = given["versions"], int(given["updates"]), bool(given["rebooted"])
    pairs = ((label, before[name], after[name]) for name, label in NAMES.items())
    told = "; ".join(f"{label} {old}" if old == new else f"{label} {old} -> {new}" for label, old, new in pairs)
    counted = f"{count} package{'' if count == 1 else 's'} updated{', rebooted' if rebooted else ''}"
    fields = {"updated": count, "rebooted": rebooted, "before": dict(before), "after": dict(after), "ended": True}
    return f"The host serves. {counted}: {told}.", fields


def servers(text: str) -> dict[str, str]:
    """Return what HAProxy's statistics say of each server of the backend `bridges`: "UP", "DOWN", or that it was not
    asked yet, which HAProxy takes for up.
    """
    rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
    return {
        row["svname"]: "not asked yet" if row["status"] == "UP" and row["check_status"] != "L7OK" else row["status"]
        for row in rows
        if row["pxname"] == "bridges" and row["svname"] not in {"BACKEND", "FRONTEND"}
    }


def is_up(status: str) -> bool:
    """Whether a server gets requests and answers well; "UP 1/3" is about to be down."""
    return status == "UP"


def interfaces_of(text: str) -> dict[str, str]:
    """Return the network interface of each address of the host, from what `ip -j addr show` printed."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return {}
    pairs = ((each.get("local"), link["ifname"]) for link in found for each in link.get("addr_info", ()))
    return {plain(local): name for local, name in pairs if local}


def plain(address: str) -> str:
    """Return an address as Python writes it, without brackets; any other text as it is.

    One of IPv4 is the same where a socket of IPv6 has it.
    """
    text = address.strip().strip("[]")
    if not is_address(text):
        return text
    found = ipaddress.ip_address(text)
    return str(getattr(found, "ipv4_mapped", None) or found)


def is_address(text: str) -> bool:
    """Whether a text is an address of IPv4 or IPv6."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_interface(text: str) -> bool:
    """Whether a text is an address with a prefix length."""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text
