"""A front host is taken out once another one has the site's addresses, and otherwise put back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from library import host_drain as module
from module_utils.host_asking import answers, is_serving, spoken
from module_utils.host_front import drain_map, drained_by
from tests.templates.edge import Edge, until

SECONDS = {"/slow": 1.5, "/long": 45}
ASKED = {"stack": "eduhub", "drained": True, "by": "drain", "virtual_addresses": ["192.0.2.10/24"],
         "peers": ["192.0.2.2"], "port": 80, "seconds": 30, "quiet_seconds": 0, "alone": False}  # fmt: skip
HERE = '[{"ifname": "eth0", "addr_info": [{"family": "inet", "local": "192.0.2.10", "prefixlen": 24}]}]'


class Bridge(BaseHTTPRequestHandler):
    """A bridge host, some of whose pages take time."""

    def do_GET(self) -> None:
        time.sleep(SECONDS.get(self.path, 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        with contextlib.suppress(OSError):  # who asked may have gone
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bridge() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bridge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def front(edge: Edge, bridge: int) -> Path:
    """Write a front host's configuration; return its path."""
    there = {"ansible_host": "127.0.0.1", "edge_port": bridge}
    return edge.write(
        groups={"front": ["here"], "bridge": ["b1"]}, hostvars={"here": {}, "b1": there},
        front_host_address="127.0.0.1", edge_drain_quiet_seconds=2,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """The module's host is a folder, whose addresses have moved once it is drained."""
    edge = Edge(tmp_path)
    monkeypatch.setattr(module, "admin_socket", lambda _: tmp_path / "run/edge/admin.sock")
    monkeypatch.setattr(module, "drain_file", lambda _: tmp_path / "maps/drain.map")
    monkeypatch.setattr(module, "MAP", f"{tmp_path}/maps/drain.map")
    monkeypatch.setattr(module, "MOVES_SECONDS", 1)
    monkeypatch.setattr(module, "printed", lambda program, *_: "[]" if program == "ip" else "active")
    monkeypatch.setattr(module, "is_serving", lambda *_: True)
    monkeypatch.setattr(module, "answers", lambda *_: told(edge) == "1")
    return edge


def told(edge: Edge) -> str:
    """Return what keepalived's check is told."""
    return edge.ask("/metrics/host", port="edge_statistics_port").body.split()[-1]


def serves(edge: Edge) -> bool:
    return edge.ask("/health/host").body == "up"


def drain(**given: Any) -> dict[str, Any]:
    return module.drain({**ASKED, **given}, None, check=False)


@pytest.mark.slow
def test_a_drain_waits_for_what_is_asked_and_outlives_a_restart(here, bridge, tmp_path):
    path = front(here, bridge)
    with here.started(path):
        until(lambda: serves(here))
        began = time.monotonic()
        asking = threading.Thread(target=here.ask, args=("/slow",))
        asking.start()
        until(lambda: "/slow" in here.tell("show table inflight"))
        done = drain()
        assert (done["code"], done["exit"]) == ("front_drained", 0)
        assert "The other front host has the site's addresses." in done["message"]
        assert time.monotonic() - began >= SECONDS["/slow"]
        asking.join()
        assert told(here) == "1"
    with here.started(path):
        assert told(here) == "1"
        assert module.undrain(ASKED, "drain", check=False)["code"] == "front_undrained"
        assert told(here) == "0"
        assert drained_by((tmp_path / "maps/drain.map").read_text()) is None


@pytest.mark.slow
def test_a_front_host_is_up_for_the_other_one_until_it_is_drained(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        port = here.ports["edge_port"]
        assert (is_serving("127.0.0.1", port), answers("127.0.0.1", port)) == (True, True)
        assert drain()["exit"] == 0
        assert (is_serving("127.0.0.1", port), answers("127.0.0.1", port)) == (False, True)
    assert answers("127.0.0.1", port) is False


@pytest.mark.slow
def test_a_request_that_came_by_an_address_that_moved_is_told_and_not_waited_for(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            asking = pool.submit(here.ask, "/long")
            until(lambda: "/long" in here.tell("show table inflight"))
            done = drain(virtual_addresses=["127.0.0.1/8"])
            assert time.monotonic() - began < SECONDS["/long"]
            assert "; 1 request over them had not ended, and is lost. After 0 s there is no request" in done["message"]
            asking.result()


@pytest.mark.slow
def test_a_host_whose_addresses_nobody_takes_is_put_back(here, bridge, monkeypatch):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        monkeypatch.setattr(module, "answers", lambda *_: told(here) == "0")
        done = drain()
        assert (done["code"], done["exit"], told(here)) == ("front_not_taken_over", 1, "0")
        monkeypatch.setattr(module, "answers", lambda *_: False)
        assert drain()["exit"] == 3  # put back, and the addresses are gone all the same
        alone = drain(alone=True, by="host.patch")
        assert alone["message"].startswith("No front host has the site's addresses.")
        assert alone["next"] == []
        assert told(here) == "1"


@pytest.mark.slow
def test_a_balancer_that_goes_on_asking_keeps_a_host_from_being_free(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        here.ask("/")
        still = drain(virtual_addresses=[], seconds=0)
        assert (still["code"], still["exit"]) == ("front_drain_unfinished", 3)
        free = drain(virtual_addresses=[])
        assert (free["exit"], "After " in free["message"], "no request left" in free["message"]) == (0, True, True)


@pytest.mark.slow
@pytest.mark.parametrize(("speaks", "given", "code"), [
    (True, {}, "front_not_taken_over"), (False, {}, "front_drained"), (True, {"alone": True}, "front_drained"),
    (True, {"peers": []}, "front_drained"),
])  # fmt: skip
def test_of_two_front_hosts_behind_a_balancer_that_are_drained_at_once_one_is_put_back(
    here, bridge, monkeypatch, speaks, given, code
):
    """The other one was marked meanwhile. One that no front host can ask may take requests."""
    monkeypatch.setattr(module, "is_serving", lambda *_: False)
    monkeypatch.setattr(module, "answers", lambda *_: speaks)
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        done = drain(virtual_addresses=[], **given)
        assert (done["code"], told(here)) == (code, str(int(code == "front_drained")))


@pytest.mark.slow
def test_a_balancer_has_time_to_hear_of_the_drain_where_nothing_came_before_it(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        began = time.monotonic()
        assert drain(virtual_addresses=[], quiet_seconds=2)["exit"] == 0
        assert time.monotonic() - began >= 2


@pytest.mark.slow
def test_a_host_is_not_drained_before_another_one_is_up_and_stays_where_keepalived_keeps_the_addresses(
    here, bridge, monkeypatch
):
    monkeypatch.setattr(module, "printed", lambda program, *_: HERE if program == "ip" else "active")
    monkeypatch.setattr(module, "answers", lambda *_: True)
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        monkeypatch.setattr(module, "is_serving", lambda *_: False)
        refused = drain()
        assert (refused["code"], refused["exit"], told(here)) == ("front_others_down", 2, "0")
        for agreed in (True, False):
            monkeypatch.setattr(module, "is_serving", lambda *_: True)
            kept = drain(alone=agreed)
            assert (kept["code"], kept["exit"], told(here)) == ("front_not_taken_over", 1, "0")
            assert "keepalived has not given the site's addresses up" in kept["message"]


@pytest.mark.slow
def test_a_host_that_was_drained_before_is_not_told_to_serve_again(here, bridge, monkeypatch):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        assert drain()["exit"] == 0
        monkeypatch.setattr(module, "answers", lambda *_: False)
        stays = module.drain(ASKED, "drain", check=False)
        assert (stays["exit"], "was drained before, and stays so" in stays["message"], told(here)) == (3, True, "1")


@pytest.mark.slow
def test_a_mark_that_cannot_be_told_to_haproxy_is_taken_back(here, bridge, monkeypatch, tmp_path):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        asked: list[str] = []

        def fails_once(path: Path, command: str) -> str:
            asked.append(command)
            if [each[:7] for each in asked].count("set map") == 1 and command.startswith("set map"):
                raise OSError("timed out")
            return spoken(path, command)

        monkeypatch.setattr(module, "spoken", fails_once)
        monkeypatch.setattr(module, "answers", lambda *_: True)
        back = drain()
        assert (back["code"], back["exit"], told(here)) == ("front_not_taken_over", 1, "0")
        assert drained_by((tmp_path / "maps/drain.map").read_text()) is None


@pytest.mark.slow
def test_without_a_bridge_host_a_drained_host_comes_back_only_where_no_other_has_the_addresses(
    here, bridge, monkeypatch
):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        assert drain()["exit"] == 0
        monkeypatch.setattr(module, "is_up", lambda _: False)
        wanted = {**ASKED, "drained": False, "seconds": 0}
        monkeypatch.setattr(module, "answers", lambda *_: True)
        assert module.undrain(wanted, "drain", check=False)["code"] == "front_not_serving"
        monkeypatch.setattr(module, "answers", lambda *_: told(here) == "0")
        done = module.undrain(wanted, "drain", check=False)
        assert (done["exit"], "which no host had, answer again" in done["message"]) == (0, True)


@pytest.mark.slow
def test_an_update_of_packages_leaves_a_host_drained_that_a_person_drained(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        assert drain()["exit"] == 0
        assert module.drain({**ASKED, "by": "host.patch"}, "drain", check=False)["exit"] == 0
        stays = module.undrain({**ASKED, "by": "host.patch"}, "drain", check=False)
        assert ("stays drained" in stays["message"], told(here)) == (True, "1")


def test_nothing_is_marked_in_a_check_or_where_haproxy_is_silent(here, monkeypatch):
    (here.folder / "maps").mkdir()
    said: dict[str, Any] = {}

    class Module:
        params, check_mode = ASKED, False

        def __init__(self, **_: Any) -> None:
            pass

        def exit_json(self, **fields: Any) -> None:
            said.update(fields)

    monkeypatch.setattr(module, "AnsibleModule", Module)
    module.main()
    assert (said["code"], said["exit"], said["changed"]) == ("front_silent", 2, False)
    assert module.drain(ASKED, None, check=True)["message"] == "The host would be drained."
    assert list((here.folder / "maps").iterdir()) == []


def test_the_mark_says_which_verb_drained_the_host():
    assert drained_by(drain_map("host.patch")) == "host.patch"
    assert drained_by(drain_map(None)) is None
    assert drained_by("draining 1\n") == "drain"
