"""What a started container answers, from its health check to its end."""

from __future__ import annotations

import json
import time
from pathlib import Path

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


LOW = """\
global
    stats socket /run/eduhub/edge/admin.sock mode 660 level admin expose-fd listeners
defaults
    mode http
    timeout client 5s
frontend low
    bind 127.0.0.1:80
    http-request return status 200
"""


@pytest.mark.images("edge")
def test_the_edge_binds_a_port_below_1024_and_no_process_of_root_is_left(
    subject: Subject, engine: docker.DockerClient, tmp_path: Path
) -> None:
    """As role edge starts it there: as root, which becomes user 10002 before HAProxy runs; a reload binds again."""
    (tmp_path / "haproxy.cfg").write_text(LOW)
    tmp_path.chmod(0o755)
    container = engine.containers.run(
        subject.image.tag, detach=True, read_only=True, network_mode="none", user="0:10002", cap_drop=["ALL"],
        cap_add=["NET_BIND_SERVICE", "SETGID", "SETUID"], security_opt=["no-new-privileges:true"],
        sysctls={"net.ipv4.ip_unprivileged_port_start": "1024"},
        tmpfs={"/run/eduhub/edge": "uid=10002,gid=10002,mode=0750"},
        volumes={str(tmp_path / "haproxy.cfg"): {"bind": "/etc/eduhub/edge/haproxy.cfg", "mode": "ro"}},
    )  # fmt: skip
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat -t 5 - TCP:127.0.0.1:80 | head -1"
    try:
        for _ in range(2):
            until = time.monotonic() + 30
            while b"200" not in container.exec_run(["sh", "-c", ask]).output:
                assert time.monotonic() < until, container.logs()
                time.sleep(0.1)
            users = container.exec_run(["sh", "-c", "grep -h ^Uid: /proc/[0-9]*/status | sort -u"]).output.decode()
            # The shell that looks is root, as the container's configuration says.
            assert users.split("\n")[:-1] == ["Uid:\t0\t0\t0\t0", "Uid:\t10002\t10002\t10002\t10002"]
            master = container.exec_run(["grep", "-E", "^(Uid|CapPrm|NoNewPrivs)", "/proc/1/status"]).output.decode()
            assert master.split() == ["Uid:", *["10002"] * 4, "CapPrm:", "0000000000000400", "NoNewPrivs:", "1"]
            container.kill("SIGUSR2")
    finally:
        container.remove(force=True, v=True)
