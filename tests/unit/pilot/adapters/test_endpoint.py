"""What the pilot asks of Plone's socket and its directory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.endpoint import Endpoint
from eduhub_pilot.model.facts import Container

PLONE = Container("eduhub-plone", "running", "sha256:1", id="0123456789abcdef")


def endpoint(run: Path) -> Endpoint:
    (run / "plone").mkdir()
    return Endpoint(run, Clock())


def test_a_container_waits_while_a_file_with_its_short_id_says_so(tmp_path: Path) -> None:
    asked = endpoint(tmp_path)
    (tmp_path / "plone/waiting-0123456789ab").touch()
    assert asked.waits(PLONE)
    asked.forget(PLONE)
    assert not asked.waits(PLONE)


STATISTICS = """# pxname,svname,qcur,scur,stot,econ,eresp,wretr,rtime,\
hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,
plone,plone,0,1,9,0,0,0,3,0,7,0,1,1,0,
plone,wait,0,2,0,0,0,0,0,0,0,0,0,0,0,
plone,BACKEND,0,3,9,0,0,0,3,0,7,0,1,1,0,
waited,BACKEND,0,0,5,0,0,0,3,0,5,0,0,0,0,

"""


# Those of several processes are counted in both.
READS = """reads,plone-2,0,1,4,0,0,0,9,0,4,0,0,0,0,
reads,wait,0,3,0,0,0,0,0,0,0,0,0,0,0,
reads,BACKEND,0,4,11,2,0,1,9,0,8,0,1,2,0,
"""


@pytest.mark.parametrize(("reads", "expected"), [("", (9, 1, 2, 0, 0.003)), (READS, (20, 3, 5, 3, 0.0063))])
def test_the_answers_of_plone_are_counted_by_its_endpoint(
    tmp_path: Path, reads: str, expected: tuple[int, int, int, int, float]
) -> None:
    """HAProxy finds a frontend of the same name first: asked by name, it tells nothing of the backend."""
    with told(tmp_path, STATISTICS.replace("waited", f"{reads}waited")) as asked:
        found = endpoint(tmp_path).counts(30)
    assert (found.answers, found.errors, found.queued, found.faults, round(found.mean_seconds, 4)) == expected
    assert asked == ["show stat -1 6 -1"]


IDLE = STATISTICS.replace("plone,plone,0,1", "plone,plone,0,0").replace("plone,wait,0,2", "plone,wait,0,0")


@pytest.mark.parametrize(
    ("row", "busy"),
    [("plone,BACKEND,0,0", False), ("plone,BACKEND,0,3", True), ("plone,BACKEND,1,0", True)],
)
def test_plone_is_busy_with_what_may_write_and_not_with_what_only_reads(tmp_path: Path, row: str, busy: bool) -> None:
    with told(tmp_path, IDLE.replace("plone,BACKEND,0,3", row).replace("waited", f"{READS}waited")):
        assert endpoint(tmp_path).busy(30) is busy


@contextmanager
def told(run: Path, answer: str) -> Iterator[list[str]]:
    """Let HAProxy answer one command with `answer`; yield what it was asked."""
    (run / "plone-endpoint").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run / "plone-endpoint/admin.sock"))
        listener.listen()
        asked: list[str] = []

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536).decode().strip())
                connection.sendall(answer.encode())

        thread = threading.Thread(target=respond, daemon=True)
        thread.start()
        yield asked
        thread.join()


SERVERS = """# pxname,svname,status,
reads,plone,UP,
reads,plone-2,DOWN 1/2,
reads,plone-3,UP 1/2,
reads,wait,no check,
plone,plone,no check,

"""


@pytest.mark.parametrize(
    ("table", "expected"),
    [(SERVERS, {"plone": True, "plone-2": False, "plone-3": True}), (SERVERS[SERVERS.index("plone,plone,") :], {})],
)
def test_each_process_answers_or_does_not(tmp_path: Path, table: str, expected: dict[str, bool]) -> None:
    asked = endpoint(tmp_path)
    for name in ("plone", "plone-2", "plone-3"):
        (tmp_path / f"plone/{name}.sock").touch()
    with told(tmp_path, table if table.startswith("#") else f"# pxname,svname,status,\n{table}"):
        assert asked.processes(30) == expected


def test_processes_that_haproxy_knows_and_a_container_from_before_does_not_have_are_none(tmp_path: Path) -> None:
    """A rollback may return to one process, and changes no configuration."""
    asked = endpoint(tmp_path)
    (tmp_path / "plone/plone.sock").touch()
    with told(tmp_path, SERVERS):
        assert asked.processes(30) == {}


def test_without_a_listener_there_is_no_answer(tmp_path: Path) -> None:
    assert endpoint(tmp_path).answers("/Plone", 1) is None


def test_the_status_of_the_answer_on_the_socket_is_told(tmp_path: Path) -> None:
    asked = endpoint(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "plone/plone.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert asked.answers("/Plone", 10) == 302
        thread.join()
