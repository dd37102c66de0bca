"""Each request is one JSON object in the edge's log, whatever its path, and holds nothing that may be a secret."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from eduhub_pilot.gates.contract.sampled import sampled
from tests.templates.edge import Edge, Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "0346ffd1-b0f3-4f40-92c7-b73105fc3c86"
NUMBERS = {"status", "bytes", "ms", "receive_ms", "queue_ms", "connect_ms", "answer_ms"}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge")).running(edge_trusted_proxies=["127.0.0.1"]) as edge:
        slot = Slot("blue", edge.folder / "run/blue/bridge.sock")
        yield edge
        slot.close()


def test_a_line_tells_the_request_its_slot_its_times_and_its_id(edge):
    assert edge.ask("/plone/told?token=planted", X_Request_ID=ID, Authorization="Bearer planted").status == 200
    (said,) = edge.lines(path="/plone/told")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])
    assert {name for name, value in said.items() if type(value) is int} == NUMBERS
    assert {name: said[name] for name in ("source", "request", "client", "frontend", "slot", "method", "status")} == {
        "source": "edge", "request": ID, "client": "127.0.0.1", "frontend": "public", "slot": "blue",
        "method": "GET", "status": 200,
    }  # fmt: skip
    assert "planted" not in (edge.folder / "log").read_text()


@pytest.mark.parametrize("path", ['/plone/a"b', "/plone/a\\b", "/plone/{}]%22", "/plone/%C3%A4"])
def test_no_path_breaks_a_line(edge, path):
    assert edge.ask(path).status == 200
    (said,) = edge.lines(path=path)
    assert said["status"] == 200


@pytest.mark.parametrize(
    ("path", "told"),
    [("passwordreset/planted?userid=ada", "passwordreset/-"), ("PasswordReset/planted/x", "PasswordReset/-/x")],
)  # fmt: skip
@pytest.mark.parametrize(("port", "frontend"), [("edge_port", "public"), ("edge_blue_port", "private_blue")])
def test_the_token_of_a_password_reset_is_in_no_line(edge, port, frontend, path, told):
    assert edge.ask(f"/plone/{frontend}/{path}", port=port).status == 200
    (said,) = edge.lines(path=f"/plone/{frontend}/{told}")
    assert said["frontend"] == frontend
    assert "planted" not in (edge.folder / "log").read_text()


def test_a_request_at_a_private_endpoint_is_told_with_the_id_it_brings(edge):
    assert edge.ask("/plone/private", port="edge_blue_port", X_Request_ID='a"b').status == 200
    (said,) = edge.lines(path="/plone/private")
    assert (said["frontend"], said["request"]) == ("private_blue", 'a"b')


def test_what_is_no_request_is_a_line_too(edge):
    with socket.create_connection(("127.0.0.1", edge.ports["edge_port"]), 60) as connection:
        connection.sendall(b"GET /no request\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    edge.logged("<BADREQ>")
    (said,) = edge.lines(path="-")
    assert (said["status"], said["request"]) == (400, "-")


def test_the_contract_gate_reads_these_lines(edge):
    assert edge.ask("/plone/sampled").status == 200
    edge.lines(path="/plone/sampled")
    found = sampled((edge.folder / "log").read_text().splitlines(), 20)
    assert "/plone/sampled" in [request.path for request in found]
