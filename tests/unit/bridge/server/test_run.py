"""Starting, stopping, and refusing a bad setting."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from contextlib import closing

import pytest

from eduhub_bridge import settings
from tests.unit.bridge.helpers import until
from tests.unit.bridge.process import INTERPRETER, Process, environment, fork_server, read_answer

pytestmark = pytest.mark.slow


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INTERPRETER, "-m", *words], env={**environment("http://127.0.0.1:9/Plone"), **variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def refused(tmp_path):
    """Starts a bridge that cannot start; returns its exit code and all that it printed."""

    def _refused(**variables: str) -> tuple[int, str]:
        log = tmp_path / "refused.log"
        given = {**environment("http://127.0.0.1:9/Plone"), **variables}
        return fork_server().start(given, log).wait(120), log.read_text()

    return _refused


def test_the_socket_is_for_owner_and_group_and_a_dead_one_is_replaced(start, plone):
    bridge = start(plone.url)
    assert stat.S_IMODE(bridge.socket.stat().st_mode) == 0o660
    bridge.kill()
    assert bridge.socket.is_socket()
    successor = Process(bridge.socket.parent, plone.url)
    assert (successor.get("/plone/x").status, successor.stop()) == (200, 0)
    assert not bridge.socket.exists()


def test_a_socket_in_use_is_left_alone(bridge):
    refused = run("eduhub_bridge", EDUHUB_SOCKET=str(bridge.socket))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "another process listens there" in refused.stderr
    assert bridge.get("/health/live").status == 200


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PLONE_URL", "", "PLONE_URL is not set"),
        ("PLONE_URL", "plone:8080/Plone", "no plain http"),
        ("PLONE_URL", "http://plone:8080", "names no site: add its id, such as http://plone:8080/Plone."),
        ("PLONE_URL", "http://plone:99999/Plone", "no URL"),
        ("PLONE_URL", "http://admin:planted@plone/Plone", "leave it out"),
        ("PLONE_URL", "http://plone/Plone?x", "no plain http"),
        ("PLONE_URL", "http://plone/a/../b", "no Plone site"),
        ("PLONE_URL", "http://plone/VirtualHostBase/http/x/VirtualHostRoot", "rewrite rule"),
        ("PLONE_URL_FILE", "/nowhere", "both set"),
        ("EDUHUB_GRACE_SECONDS_FILE", "/nowhere", "cannot be read: No such file"),
        ("EDUHUB_GRACE_SECONDS", "soon", "give a number from 0 to 3600 (seconds)"),
        ("EDUHUB_PLONE_SECONDS", "nan", "give a number from"),
        ("EDUHUB_PLONE_CONNECTIONS", "1", "give a number from 3 to 1000"),
        ("EDUHUB_PLONE_CONNECTIONS", "5", "give at least 6"),
        ("EDUHUB_PLONE_READS", "0", "give a number from 1 to 998"),
        ("EDUHUB_PLONE_LOGINS", "0", "give a number from 1 to 998"),
        ("EDUHUB_PLONE_LOGINS", "5", "give at most 4, or raise EDUHUB_PLONE_READS"),
        ("EDUHUB_PLONE_QUEUE", "-1", "give a number from 0 to 100000"),
        ("EDUHUB_PLONE_READ_WAIT_SECONDS", "0", "give a number from 0.1 to 600 (seconds)"),
        ("EDUHUB_CACHE_SECONDS", "-1", "give a number from 0 to 3600 (seconds)"),
        ("EDUHUB_CACHE_MB", "0", "give a number from 1 to 65536"),
        ("EDUHUB_CACHE_IGNORED_FIELDS", "x-scan: id", "give names of request headers"),
        ("EDUHUB_CACHE_IGNORED_FIELDS", "*", "give names of request headers"),
        ("EDUHUB_CACHE_IGNORED_PARAMETERS", "*", "give names of query parameters"),
        ("EDUHUB_CACHE_IGNORED_PARAMETERS", "a&b", "give names of query parameters"),
        ("EDUHUB_CACHE_IGNORED_PARAMETERS", "utm_* none", "give names of query parameters"),
        ("EDUHUB_CACHE_IGNORED_FIELDS", "x-scan-id X-F*", "covers x-forwarded-host: that one may change a page"),
        ("EDUHUB_PORT", "http", "give a number from 1 to 65535"),
        ("EDUHUB_SOCKET", "bridge.sock", "absolute path"),
        ("EDUHUB_SOCKET", "/nowhere/bridge.sock", "no such file or directory"),
        ("EDUHUB_READY_PATH", "a/../b", "no path below the site"),
        ("EDUHUB_STATE_DIR", "state", "no directory"),
        ("EDUHUB_STATE_DIR", "/nowhere", "no directory: make it"),
        ("EDUHUB_STATE_KEY", "planted", "EDUHUB_STATE_KEY_FILE"),
        ("EDUHUB_STATE_DSN", "planted", "EDUHUB_STATE_DSN_FILE"),
        ("EDUHUB_STATE_KEY_FILE", "/dev/null", "holds 0 bytes: give at least 32"),
        ("EDUHUB_JOBS", "0", "give a number from 1 to 6"),
    ],
)
def test_a_bad_setting_is_one_sentence(refused, name, value, words):
    code, printed = refused(**{name: value})
    assert (code, printed.count("\n")) == (2, 1)
    assert words in printed
    assert "planted" not in printed


@pytest.mark.parametrize(("reads", "logins"), [("1", 1), ("2", 2), ("3", 2), ("4", 2), ("8", 2), ("32", 2)])
def test_two_logins_at_a_time_leave_our_plone_a_thread_for_readers_however_many_reads_there_are(reads, logins):
    assert settings.read({"PLONE_URL": "http://plone/Plone", "EDUHUB_PLONE_READS": reads}).plone_logins == logins


def test_a_refusal_goes_to_standard_error():
    refused = run("eduhub_bridge", PLONE_URL="")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("words", ["file is not a database", "has version 7, this bridge reads"])
def test_a_store_that_cannot_be_read_is_one_sentence(tmp_path, refused, words):
    store = tmp_path / "bridge.sqlite3"
    if "version" in words:
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("CREATE TABLE eduhub_version (version INTEGER)")
            connection.execute("INSERT INTO eduhub_version VALUES (7)")
            connection.commit()
    else:
        store.write_bytes(b"no database, but long enough" * 9)
    code, printed = refused(EDUHUB_STATE_DIR=str(tmp_path), EDUHUB_SOCKET=str(tmp_path / "socket"))
    assert (code, printed.count("\n"), words in printed) == (2, 1, True)


@pytest.mark.parametrize(
    "address",
    ["", "planted", "postgresql//bridge:planted@db/x", "postgresql://bridge:plant%ed@db/x",
     "postgresql://bridge:pla/planted@db/x", "postgresql://bridge:pla@planted@db/x",
     "postgresql://bridge:x@db/x?planted=1"],
)  # fmt: skip
def test_an_address_of_a_database_that_is_none_is_refused_and_not_repeated(tmp_path, refused, address):
    (tmp_path / "dsn").write_text(address)
    code, printed = refused(EDUHUB_STATE_DSN_FILE=str(tmp_path / "dsn"), EDUHUB_SOCKET=str(tmp_path / "socket"))
    assert (code, printed.count("\n")) == (2, 1)
    assert "EDUHUB_STATE_DSN_FILE holds no address of a PostgreSQL database" in printed
    assert "planted" not in printed


def test_settings_may_come_from_files_and_slips_of_the_pen_are_named(tmp_path, plone):
    (tmp_path / "url").write_text(f"{plone.url}\n")
    more = {"EDUHUB_GRACE": "5", "PLONE_URL_FILE": str(tmp_path / "url")}
    bridge = Process(tmp_path, "", **more)
    assert bridge.get("/plone/x").status == 200
    assert bridge.stop() == 0
    assert [line["names"] for line in bridge.lines() if line["event"] == "unknown_settings"] == [["EDUHUB_GRACE"]]


def test_a_port_instead_of_a_socket(plone):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = run("eduhub_bridge", EDUHUB_PORT=str(port), EDUHUB_ADDRESS="127.0.0.1")
        assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
        assert f"cannot listen on 127.0.0.1:{port}: address already in use" in taken.stderr
    tcp = {"EDUHUB_PORT": str(port), "EDUHUB_ADDRESS": "127.0.0.1"}
    running = subprocess.Popen(
        [INTERPRETER, "-m", "eduhub_bridge"], env=environment(plone.url, **tcp), stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while run("eduhub_bridge.health", **tcp).returncode:
            assert time.monotonic() < deadline
    finally:
        running.terminate()
        assert running.wait(60) == 0


def test_the_health_check_follows_the_bridge(start, plone):
    bridge = start(plone.url)
    well = run("eduhub_bridge.health", EDUHUB_SOCKET=str(bridge.socket))
    assert (well.returncode, well.stderr) == (0, "")
    bridge.kill()
    ill = run("eduhub_bridge.health", EDUHUB_SOCKET=str(bridge.socket))
    assert (ill.returncode, ill.stderr.count("\n")) == (1, 1)


def test_an_idle_bridge_stops_at_once_and_says_so(start, plone):
    bridge = start(plone.url)
    started = time.monotonic()
    assert bridge.stop() == 0
    assert time.monotonic() - started < 20  # the grace is 25
    assert [line["event"] for line in bridge.lines()] == ["state_is_temporary", "start", "stopping", "stop"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished_before_the_end(start, plone, number):
    bridge = start(plone.url, EDUHUB_CACHE_SECONDS="0")
    with bridge.connect() as stream, bridge.connect() as waiting, bridge.connect() as idle:
        stream.sendall(b"GET /plone/drip HTTP/1.1\r\nHost: b\r\n\r\n")
        assert stream.recv(1000).endswith(b"\r\n\r\na") or stream.recv(1) == b"a"
        waiting.sendall(b"GET /plone/wait HTTP/1.1\r\nHost: b\r\n\r\n")
        while len(plone.seen) < 2:
            time.sleep(0.01)
        os.kill(bridge.popen.pid, number)
        assert idle.recv(1) == b""  # an idle connection is closed at once
        with pytest.raises(OSError, match="refused"):
            bridge.connect()
        plone.release.set()
        assert stream.recv(10) == b"b"
        answer = read_answer(waiting)
        assert (answer.status, answer.body, answer.field("connection")) == (200, b"late", ["close"])
    assert bridge.popen.wait(60) == 0


def test_a_request_that_outlasts_the_grace_is_cut_and_the_process_ends_all_the_same(start, plone):
    bridge = start(plone.url, EDUHUB_GRACE_SECONDS="0.5", EDUHUB_CACHE_SECONDS="0")
    with bridge.connect() as stream:
        stream.sendall(b"GET /plone/drip HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
        while not plone.seen:
            time.sleep(0.01)
        assert bridge.stop() == 0
        assert read_answer(stream).complete is False
    plone.release.set()
    assert not [line for line in bridge.lines() if "traceback" in line]


def test_a_second_signal_does_not_wait(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_SECONDS="0")
    with bridge.connect() as stream:
        stream.sendall(b"GET /plone/drip HTTP/1.1\r\nHost: b\r\n\r\n")
        stream.recv(1)
        bridge.popen.terminate()
        until(lambda: any(line["event"] == "stopping" for line in bridge.lines()))
        assert bridge.stop() == 0
    plone.release.set()
