"""What the pilot asks of Plone's socket and its directory."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

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
