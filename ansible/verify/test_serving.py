"""The host serves what its records say, and nothing private is public."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from verify.findings import DEPLOY, STATUS, Finding, raise_for
from verify.observed import Observed, answers

Containers = dict[str, dict[str, Any]]
ENDPOINT = "plone-endpoint"


def test_the_engine_answers(seen: Observed) -> None:
    if trouble := seen.report["engine_trouble"]:
        raise_for([Finding("engine_unavailable", f"The Docker Engine does not answer: {trouble.rstrip('.')}.", DEPLOY)])


def test_edge_live_slot_and_plone_are_running(seen: Observed, containers: Containers) -> None:
    # A stack with an institution's own Plone has no container for it.
    ours = [part for part in ("plone", ENDPOINT) if part in containers or (part == ENDPOINT and behind(seen))]
    required = ["edge", *([seen.live] if seen.live else []), *ours]
    raise_for(finding for part in required for finding in not_running(f"{seen.name}-{part}", containers.get(part)))


def behind(seen: Observed) -> bool:
    """Return whether our Plone listens on a socket, for its endpoint; one of an earlier version has none."""
    return f"/var/lib/{seen.name}/run/plone" in seen.containers.get("plone", {}).get("mounts", [])


def test_plones_endpoint_runs_the_image_of_the_edge(containers: Containers) -> None:
    endpoint, edge = containers.get(ENDPOINT), containers.get("edge")
    if endpoint and edge and endpoint["image"] != edge["image"]:
        what = f"{endpoint['name']} runs image {endpoint['image']}; the edge, whose image is for both, {edge['image']}."
        raise_for([Finding("image_differs", what, DEPLOY)])


def not_running(name: str, container: dict[str, Any] | None) -> Iterator[Finding]:
    if container is None:
        yield Finding("container_missing", f"There is no container {name}.", DEPLOY)
    elif container["status"] != "running":
        found = f"{container['status']} (exit code {container['exit_code']})"
        yield Finding(
            "container_stopped", f"The container {name} is {found}; expected running.", ("docker", "start", name)
        )


def test_our_plone_is_healthy(containers: Containers) -> None:
    plone = containers.get("plone")
    # One that was just started answers before its first health check; whether it does, the live slot's readiness says.
    if plone and plone["status"] == "running" and plone["health"] not in {"healthy", "starting"}:
        what = (
            f"The health check of {plone['name']} reports {plone['health']}; expected healthy. Its log, `docker logs "
            f"--tail 50 {plone['name']}`, may say why. Where it hangs, restart it on the host."
        )
        raise_for([Finding("plone_unhealthy", what, ("docker", "restart", plone["name"]))])


def test_the_public_address_is_served_by_the_live_slot(seen: Observed) -> None:
    public = seen.report["public"]
    found = {"slot": public["headers"].get("x-eduhub-slot"), "release": public["headers"].get("x-eduhub-release")}
    states = [state for state in (seen.report["state_before"], seen.report["state"]) if state]
    expected = [{name: each[name] for name in found} for state in states for each in may_answer(state)]
    if found["slot"] is None:
        what = f"The edge {answers(public)} at {public['url']}; expected an answer of the live slot."
        raise_for([Finding("edge_unavailable", what, STATUS)])
    if states and found not in expected:
        named = dict.fromkeys("{slot} with release {release}".format(**each) for each in expected)
        wanted = " or ".join(named) or "no slot"
        what = f"{public['url']} is served by {found['slot']} with release {found['release']}; expected {wanted}."
        raise_for([Finding("live_slot_differs", what, STATUS)])


def may_answer(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return who may answer: the new slot while a run awaits its confirmation, both while traffic shifts."""
    live, rollout = state["live"], state["rollout"]
    step = rollout["step"] if rollout else None
    if step in {"shifted", "confirm"}:
        return [rollout]
    return [each for each in (live, rollout if step == "shift" else None) if each]


def test_the_live_slot_runs_image_and_python_of_its_release(seen: Observed, containers: Containers) -> None:
    container, release = containers.get(seen.live or ""), seen.state["slots"].get(seen.live)
    record = seen.report["records"].get(release)
    if container and record:
        raise_for(differences(seen, container, release, record))


def differences(seen: Observed, container: dict[str, Any], release: str, record: dict[str, Any]) -> Iterator[Finding]:
    name = container["name"]
    if container["release"] != release:
        what = f"{name} is labelled with release {container['release']}; its record says {release}."
        yield Finding("release_differs", what)
    if container["image"] != record["image"]["id"]:
        what = f"{name} runs image {container['image']}; release {release} has {record['image']['id']}."
        yield Finding("image_differs", what)
    expected, found = record["python_version"], seen.report["python"]
    if expected and container["status"] == "running" and found != expected:
        yield Finding("python_differs", f"{name} runs Python {found}; release {release} has {expected}.")


def test_the_live_slot_is_live_and_ready(seen: Observed) -> None:
    logs = ("docker", "logs", "--tail", "50", f"{seen.name}-{seen.live}")
    bad = [each for each in seen.report["health"] if each["status"] != 200]
    sentences = [f"The live slot {seen.live} {answers(each)} at {each['url']}; expected 200." for each in bad]
    raise_for(Finding("live_slot_unhealthy", what, logs) for what in sentences)


def test_metrics_are_private(seen: Observed) -> None:
    # Where edge (no status) or slot (503) does not answer, nothing is public; that is a finding of its own.
    raise_for(
        Finding("metrics_public", f"The public address {answers(each)} at {each['url']}; expected 400 or 404.", DEPLOY)
        for each in seen.report["metrics"]
        if each["contains"] or (each["status"] or 404) not in {400, 404, 503}
    )


def test_the_statistics_endpoint_serves_metrics_of_haproxy(seen: Observed) -> None:
    statistics = seen.report["statistics"]
    if not statistics["contains"]:
        what = f"The statistics endpoint {answers(statistics)} at {statistics['url']}; expected HAProxy's metrics."
        raise_for([Finding("statistics_unavailable", what, DEPLOY)])


def test_a_balancer_is_told_what_the_host_keeps(seen: Observed) -> None:
    told, kept = seen.report["balancer"], seen.report["drain_map"] == ["draining", "1"]
    if told["status"] and told["contains"] != kept:
        word = {True: "drained", False: "not drained"}
        what = f"{told['url']} tells a balancer that the host is {word[told['contains']]}, but it is {word[kept]}."
        raise_for([Finding("drain_mark_differs", what, ("./invoke", "drain" if kept else "undrain"))])


def test_a_client_cannot_set_the_slot_header(seen: Observed) -> None:
    forged = seen.report["forged"]
    named = forged["headers"].get("x-eduhub-slot")
    if named not in {"blue", "green", None}:
        what = f"A client that sends X-EduHub-Slot gets {named!r} back from {forged['url']}; expected the live slot."
        raise_for([Finding("slot_header_forged", what, DEPLOY)])
