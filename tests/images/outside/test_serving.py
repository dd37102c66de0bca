"""What a started container answers, from its health check to its end."""

from __future__ import annotations

import json
import time

import docker
import pytest

from .conftest import Subject

SERVING = ("bridge", "edge", "plone")
# A GET over the bridge's socket, by the image's own Python: nothing else in it could ask.
ASK = (
    "import http.client, json, socket, sys\n"
    "connection = http.client.HTTPConnection('bridge')\n"
    "connection.sock = socket.socket(socket.AF_UNIX)\n"
    "connection.sock.connect('/run/eduhub/bridge.sock')\n"
    "connection.request('GET', sys.argv[1])\n"
    "print(connection.getresponse().status)\n"
)


@pytest.mark.images(*SERVING)
def test_its_health_check_needs_no_shell_and_says_healthy(subject: Subject) -> None:
    """The check that a host sees is a program in exec form, and it passes without Plone and without a network."""
    assert subject.config["Healthcheck"]["Test"][0] == "CMD"
    assert subject.health() == "healthy"


@pytest.mark.images("bridge")
def test_the_bridge_lives_without_plone_but_is_not_ready(subject: Subject) -> None:
    """Liveness and readiness are two answers: a dead Plone must not get a bridge restarted."""
    assert subject.health() == "healthy"
    answers = [subject.inside.check_output("python3 -c %s %s", ASK, f"/health/{kind}") for kind in ("live", "ready")]
    assert answers == ["200", "503"]


@pytest.mark.images("plone")
def test_plone_answers(subject: Subject) -> None:
    """An image of Plone is proven only by starting it."""
    assert subject.health() == "healthy"
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/ok').status)"
    assert subject.inside.check_output("python3 -c %s", program) == "200"


@pytest.mark.images("edge")
def test_the_edge_is_unhealthy_when_its_worker_does_not_answer(subject: Subject) -> None:
    """The check asks the worker itself: with the admin socket gone it fails."""
    assert subject.inside.run("/usr/lib/eduhub/health").rc == 0
    subject.inside.run("mv /run/eduhub/edge/admin.sock /run/eduhub/edge/away.sock")
    try:
        assert subject.inside.run("/usr/lib/eduhub/health").rc != 0
    finally:
        subject.inside.run("mv /run/eduhub/edge/away.sock /run/eduhub/edge/admin.sock")


@pytest.mark.images("pilot")
@pytest.mark.parametrize(("command", "code"), [("status", 0), ("no-such-command", 2)])
def test_the_pilot_answers_and_ends(subject: Subject, engine: docker.DockerClient, command: str, code: int) -> None:
    """One container, one answer: its exit code says how it went, and its one document says the same."""
    container = engine.containers.run(
        subject.image.tag, [command], detach=True, read_only=True, cap_drop=["ALL"], network_mode="none"
    )
    try:
        assert container.wait(timeout=60)["StatusCode"] == code
        said = container.logs(stdout=True, stderr=False)
        assert code == 2 or json.loads(said)["exit"] == code
    finally:
        container.remove(force=True)


@pytest.mark.images(*SERVING)
def test_it_stops_when_it_is_told_to(subject: Subject) -> None:
    """The stop signal reaches the program, which ends by itself: at once here, and without the engine's kill."""
    assert subject.health() == "healthy"
    started = time.monotonic()
    subject.container.stop(timeout=30)
    took = time.monotonic() - started
    subject.container.reload()
    code = subject.container.attrs["State"]["ExitCode"]
    subject.container.start()
    assert code in {0, 143}
    assert took < 15
