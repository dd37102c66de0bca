"""Containers and files of a host have no more rights than they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from verify.findings import DEPLOY, Finding, raise_for
from verify.observed import Observed, octal

Containers = dict[str, dict[str, Any]]


def about(containers: Containers, code: str, value: str, expected: str) -> Iterator[Finding]:
    """Yield a finding for each container: its `value` is not as `expected`."""
    for each in containers.values():
        what = f"The container {each['name']} has {value.format(**each)}; expected {expected}."
        yield Finding(code, what, DEPLOY)


def test_containers_have_a_read_only_root(seen: Observed, containers: Containers) -> None:
    # A release may ask for a writable one.
    writable = {
        part: each
        for part, each in containers.items()
        if not each["read_only"] and seen.spec(each["release"]).get("read_only") is not False
    }
    raise_for(about(writable, "root_writable", "a writable root file system", "a read-only one"))


def test_containers_have_no_privilege(containers: Containers) -> None:
    privileged = {part: each for part, each in containers.items() if each["privileged"]}
    capable = {part: each for part, each in containers.items() if each["cap_drop"] != ["ALL"]}
    gaining = {part: each for part, each in containers.items() if "no-new-privileges" not in str(each["security_opt"])}
    raise_for(
        [
            *about(privileged, "container_privileged", "all privileges", "none"),
            *about(capable, "capabilities_kept", "dropped the capabilities {cap_drop}", "ALL dropped"),
            *about(gaining, "privileges_gainable", "the security options {security_opt}", "no-new-privileges"),
        ]
    )


def test_containers_do_not_run_as_root(containers: Containers) -> None:
    roots = {part: each for part, each in containers.items() if each["user"].split(":")[0] in {"", "0", "root"}}
    raise_for(about(roots, "container_root", "the user {user!r}", "a user other than root"))


def test_containers_restart_and_their_logs_are_bounded(containers: Containers) -> None:
    policies = {"always", "unless-stopped"}
    ending = {part: each for part, each in containers.items() if each["restart"] not in policies}
    growing = {part: each for part, each in containers.items() if not each["log_max_size"]}
    raise_for(
        [
            *about(ending, "no_restart", "the restart policy {restart!r}", "always or unless-stopped"),
            *about(growing, "log_unbounded", "a log without max-size", "a bounded one"),
        ]
    )


def test_only_the_edge_shares_the_network_of_the_host(containers: Containers) -> None:
    sharing = {part: each for part, each in containers.items() if part != "edge" and each["network"] == "host"}
    apart = {part: each for part, each in containers.items() if part == "edge" and each["network"] != "host"}
    raise_for(
        [
            *about(sharing, "host_network", "the host's network", "a network of the stack"),
            *about(apart, "edge_network", "the network {network}", "the host's"),
        ]
    )


def test_no_serving_container_reaches_the_engine(containers: Containers) -> None:
    reaching = {part: each for part, each in containers.items() if "docker.sock" in str(each["mounts"])}
    raise_for(about(reaching, "engine_reachable", "the engine's socket mounted", "no access to the engine"))


def test_secrets_are_readable_by_their_group_only(seen: Observed) -> None:
    # An institution's own Plone keeps its password elsewhere.
    files = {path: seen.report["files"][path] for path in seen.report["secrets"]}
    loose = [path for path, found in files.items() if found and (found["uid"] != 0 or found["mode"] & 0o007)]
    raise_for(
        [
            *(wrong(path, files[path], "owner 0 and no access for others", "secret_readable") for path in loose),
            *(
                Finding("secret_exposed", f"The content of {path} is shown by docker inspect; expected a mounted file.")
                for path in seen.report["exposed"]
            ),
        ]
    )


def wrong(path: str, found: dict[str, int] | None, expected: str, code: str = "file_permissions") -> Finding:
    return Finding(code, f"{path} is {octal(found)}; expected {expected}.", DEPLOY)


def test_directories_and_keys_of_the_slots_are_closed(seen: Observed) -> None:
    state, config = f"/var/lib/{seen.name}", f"/etc/{seen.name}"
    expected = {
        f"{state}/run/blue": {"uid": 10001, "gid": 10002, "mode": 0o2750},
        f"{state}/run/green": {"uid": 10001, "gid": 10002, "mode": 0o2750},
        f"{state}/bridge": {"uid": 10001, "gid": 10001, "mode": 0o700},
        f"{config}/bridge/state_key": {"uid": 0, "gid": 10001, "mode": 0o440},
    }
    files = seen.report["files"]
    raise_for(wrong(path, files[path], octal(each)) for path, each in expected.items() if files[path] != each)


def test_records_are_written_by_root_only(seen: Observed) -> None:
    files = {path: seen.report["files"][path] for path in (
        f"/var/lib/{seen.name}/release.json", f"/var/lib/{seen.name}/journal.jsonl",
    )}  # fmt: skip
    raise_for(
        wrong(path, found, "owner 0 and no write access for others")
        for path, found in files.items()
        if found is None or found["uid"] != 0 or found["mode"] & 0o022
    )
