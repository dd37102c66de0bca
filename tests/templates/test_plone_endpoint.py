"""Plone's endpoint, and which change of Plone a standby takes over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.templates.edge import Edge, Slot, free_ports, until
from tests.templates.render import ANSIBLE, render, value

BEHIND, BEFORE = "true /data /run/eduhub/plone 6.0.13", "true /data 6.0.13"
UNNAMED, STOPPED = "true /data /run/eduhub/plone ", "false /data /run/eduhub/plone 6.0.13"
ELSEWHERE = "true elsewhere /data /run/eduhub/plone 6.0.13"
FORM, JSON = {"Content-Type": "text/xml"}, {"Content-Type": "application/json; charset=utf-8"}
REPLACED = {"actions": [{"removed": "eduhub-plone"}]}
OTHER_IMAGE = {**REPLACED, "diff": {"after": {"image": "sha256:2"}}}


def test_requests_wait_as_long_as_the_inventory_says() -> None:
    text = render("plone", "haproxy.cfg.j2", plone_wait_seconds=77)
    assert re.findall(r"lua\.wait unix@/run/eduhub/plone/plone\.sock (\d+)", text) == ["77"]


def test_only_a_connection_that_failed_is_tried_again() -> None:
    text = render("plone", "haproxy.cfg.j2", plone_processes=1)
    assert re.findall(r"^ +(retry-on .*|http-reuse .*|option http-server-close)$", text, re.MULTILINE) == [
        "option http-server-close", "http-reuse never", "retry-on conn-failure",
    ]  # fmt: skip


@contextmanager
def endpoint(folder: Path, processes: int) -> Iterator[Edge]:
    """Run HAProxy with the endpoint's configuration."""
    found = Edge(folder, {"edge_port": free_ports(1)[0]})
    for place in ("config", "run/edge"):
        (folder / place).mkdir(parents=True)
    (folder / "config/waits.map").write_text("plone no\n")
    (folder / "run/edge/writes.map").write_text("writes open\n")
    (folder / "config/wait.lua").write_text(found._here((ANSIBLE / "roles/plone/files/wait.lua").read_text()))
    text = found._here(render("plone", "haproxy.cfg.j2", plone_processes=processes))
    (folder / "haproxy.cfg").write_text(text.replace("bind :8080", f"bind 127.0.0.1:{found.ports['edge_port']}"))
    with found.started(folder / "haproxy.cfg"):
        yield found


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[Edge, list[Slot]]]:
    """The endpoint before three processes."""
    (tmp_path / "run/plone").mkdir(parents=True)
    names = ("plone", "plone-2", "plone-3")
    with ExitStack() as stack:
        processes = [Slot(name, tmp_path / f"run/plone/{name}.sock") for name in names]
        for each in processes:
            stack.callback(each.close)
        yield stack.enter_context(endpoint(tmp_path, len(names))), processes


def test_every_process_answers_reads_and_the_first_alone_writes(three: tuple[Edge, list[Slot]]) -> None:
    edge, processes = three
    for method in ("GET", "HEAD", "OPTIONS"):
        until(lambda: edge.ask("/Plone", method=method).status == 200 and seen(processes, method) == 3)  # noqa: B023
    written = {edge.ask("/Plone", method=method).body for method in ("POST", "PATCH", "DELETE") for _ in range(6)}
    written |= {edge.ask("/Plone/delete?_%61uthenticator=1").body for _ in range(6)}
    written |= {edge.ask("/Plone/delete", **{"X-CSRF-TOKEN": "1"}).body for _ in range(6)}
    written |= {edge.ask("/Plone?../delete:m%65thod=1").body for _ in range(6)}
    written |= {edge.ask("/Plone/@querystring-search?../x:action", method="POST").body for _ in range(6)}
    written |= {edge.ask("/Plone/@querystring-search", "edge_port", "POST", b"a", **FORM).body for _ in range(6)}
    assert written == {"plone"}


def test_writes_are_refused_while_plone_is_upgraded_and_reads_go_on(three: tuple[Edge, list[Slot]]) -> None:
    edge, _ = three
    writes = edge._here("set map /run/eduhub/edge/writes.map writes")
    edge.tell(f"{writes} closed:Plone+is+upgraded+to+6.1.4.")
    refused = [edge.ask("/Plone", method=method) for method in ("POST", "PATCH", "DELETE", "PROPFIND")]
    refused += [edge.ask("/Plone/delete?_%61uthenticator=1"), edge.ask("/Plone/delete", **{"X-CSRF-TOKEN": "1"})]
    refused += [edge.ask(f"/Plone/x?{each}=a") for each in ("b:method", ":default_m%65thod", "c:action.x")]
    for service in ("@querystring-search", "@login-renew"):
        refused.append(edge.ask(f"/Plone/{service}?../delete%3Aaction", method="POST"))
        refused += [edge.ask(f"/Plone/{service}", "edge_port", "POST", b"a", **form) for form in (FORM, {})]
    assert {each.status for each in refused} == {503}
    assert json.loads(refused[0].body)["detail"] == "Nothing can be written at the moment. Plone is upgraded to 6.1.4."
    form = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = edge.ask("/Plone/news/edit", "edge_port", "POST", b"title=a", **form)
    assert (page.status, page.body[:15]) == (503, "<!doctype html>")
    assert "<p>Nothing can be written at the moment. Plone is upgraded to 6.1.4.</p><p>Go back in" in page.body
    assert edge.ask("/Plone/@querystring-search", method="DELETE").status == 503
    read = [edge.ask("/Plone", method=method).status for method in ("GET", "HEAD", "OPTIONS")]
    read += [edge.ask(f"/Plone/{each}", method="POST").status for each in ("@querystring-search", "@login-renew")]
    read.append(edge.ask("/Plone/news", **form).status)
    read.append(edge.ask("/Plone/@querystring-search?x:methods=1", "edge_port", "POST", b"{}", **JSON).status)
    assert read == [200] * 7
    edge.tell(f"{writes} open")
    assert edge.ask("/Plone", method="POST").status == 200


def seen(processes: list[Slot], method: str) -> int:
    """Return how many processes got such a request for the site."""
    return sum((method, "/Plone") in each.seen for each in processes)


def test_a_process_that_is_gone_costs_no_read_and_answers_again_when_it_is_back(
    three: tuple[Edge, list[Slot]], tmp_path: Path
) -> None:
    edge, processes = three
    processes[1].close()
    (tmp_path / "run/plone/plone-2.sock").unlink()
    answers = [edge.ask("/Plone") for _ in range(12)]
    assert ({each.status for each in answers}, {each.body for each in answers}) == ({200}, {"plone", "plone-3"})
    back = Slot("plone-2", tmp_path / "run/plone/plone-2.sock")
    try:
        until(lambda: edge.ask("/Plone").body == "plone-2")
    finally:
        back.close()


def test_without_any_process_reads_wait_as_writes_do(three: tuple[Edge, list[Slot]], tmp_path: Path) -> None:
    """As they do in a takeover: all end, and the first of the new ones takes what has waited."""
    edge, processes = three
    for each in processes:
        each.close()
    for path in (tmp_path / "run/plone").iterdir():
        path.unlink()
    assert {edge.ask("/Plone", method=method).status for method in ("GET", "GET", "POST")} == {503}
    assert edge.tell(f"set map {tmp_path}/config/waits.map plone yes").strip() == ""
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(edge.ask, "/Plone", method=method) for method in ("GET", "POST") * 4]
        until(lambda: re.search("^wait,FRONTEND,,,8,", edge.tell("show stat"), re.MULTILINE) is not None)
        new = Slot("new", tmp_path / "run/plone/plone.sock")
        try:
            assert {(each.result().status, each.result().body) for each in waiting} == {(200, "new")}
        finally:
            new.close()


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, "3"), ({"ZEO_ADDRESS": "zeo:8100"}, "1"), ({"RELSTORAGE_DSN_FILE": "/x"}, "1")]
)
def test_a_database_that_is_not_in_files_has_one_process(environment: dict[str, str], expected: str) -> None:
    given = {"plone_processes": 3, "plone_environment": environment}
    assert value("_plone_environment", **given)["PROCESSES"] == expected
    assert ("backend reads" in render("plone", "haproxy.cfg.j2", **given)) == (expected != "1")


@pytest.mark.parametrize(
    ("given", "reads"),
    [
        ({"plone_processes": 2}, (None, None)),
        ({"plone_processes": 4}, ("8", "68")),
        ({"plone_environment": {"PROCESSES": "4"}}, ("8", "68")),
        ({"plone_processes": 4, "plone_url": "http://x"}, (None, None)),
        ({"plone_processes": 4, "plone_environment": {"RELSTORAGE_DSN": "x"}}, (None, None)),
        ({"plone_processes": 4, "bridge_environment": {"EDUHUB_PLONE_READS": 3}}, ("3", None)),
    ],
)
def test_a_bridge_reads_more_at_a_time_where_more_than_two_processes_answer(
    given: dict[str, object], reads: tuple[str | None, str | None]
) -> None:
    told = value("bridge_spec.environment", **given)
    assert (told.get("EDUHUB_PLONE_READS"), told.get("EDUHUB_PLONE_CONNECTIONS")) == reads


@pytest.mark.parametrize(
    ("runs", "version", "asked", "expected"),
    [
        (BEHIND, "6.1.4", "6.1.4", (True, False, True)),
        (BEHIND, "6.0.13", "6.0.13", (True, False, False)),
        (BEHIND, "6.1.4", "", (False, True, False)),
        (UNNAMED, "6.1.4", "6.1.4", (False, True, False)),
        (BEFORE, "6.1.4", "6.1.4", (False, True, True)),
    ],
)
def test_another_version_takes_over_where_it_was_asked_for(
    runs: str, version: str, asked: str, expected: tuple[bool, bool, bool]
) -> None:
    given = {"plone_runs": {"stdout": runs}, "plone_container": OTHER_IMAGE, "plone_environment": {},
             "plone_built": {"stdout": version}, "eduhub_version": asked}  # fmt: skip
    names = ("_plone_takes_over", "_plone_cuts", "plone_changes_version")
    assert tuple(value(name, **given) for name in names) == expected


@pytest.mark.parametrize(
    ("runs", "changed", "environment", "expected", "version"),
    [
        (BEHIND, REPLACED, {}, (True, False), "6.0.13"),
        (BEHIND, OTHER_IMAGE, {}, (True, False), "6.0.13"),
        (BEHIND, OTHER_IMAGE, {}, (False, True), "6.1.4"),
        (BEHIND, OTHER_IMAGE, {}, (False, True), ""),
        (UNNAMED, OTHER_IMAGE, {}, (False, True), "6.0.13"),
        (UNNAMED, OTHER_IMAGE, {}, (False, True), ""),
        (UNNAMED, REPLACED, {}, (True, False), ""),
        (BEFORE, REPLACED, {}, (False, True), "6.0.13"),
        (STOPPED, REPLACED, {}, (False, False), "6.0.13"),
        (BEHIND, {"actions": []}, {}, (False, False), "6.0.13"),
        (BEHIND, REPLACED, {"ZEO_ADDRESS": "zeo:8100"}, (False, True), "6.0.13"),
        (ELSEWHERE, REPLACED, {}, (False, True), "6.0.13"),
        (ELSEWHERE, {"actions": []}, {"ZEO_ADDRESS": "zeo:8100"}, (False, False), "6.0.13"),
        (BEHIND, REPLACED, {"RELSTORAGE_DSN_FILE": "/x"}, (False, True), "6.0.13"),
    ],
)
def test_a_running_plone_in_files_behind_its_endpoint_is_taken_over_and_any_other_cut(
    runs: str, changed: dict[str, object], environment: dict[str, str], expected: tuple[bool, bool], version: str
) -> None:
    given = {"plone_runs": {"stdout": runs}, "plone_container": changed, "plone_environment": environment,
             "plone_built": {"stdout": version}}  # fmt: skip
    assert (value("_plone_takes_over", **given), value("_plone_cuts", **given)) == expected
