"""A request is sent once and read to its last byte; every way it can end has its class."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest

from tests.load.client import IDLE_SECONDS, Address, Client, Exchange, FailedError, Request, encode
from tests.unit.load.peer import GOOD, always, serving
from tests.unit.load.simulated import simulated


@pytest.fixture
def ask(tmp_path):
    """Sends a request to a server that answers as `answering` says, and returns the exchange or raises."""

    def ask(answering, *, seconds=30.0):
        async def work():
            path = tmp_path / "peer.sock"
            async with serving(path, answering):
                return await Client(f"unix:{path}").expect(encode("/"), seconds=seconds)

        return simulated(work())

    return ask


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1\r\nK\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK",
    ],
    ids=["with a length", "in chunks", "after an interim answer", "as the last one"],
)
def test_an_answer_is_read_to_its_end(ask, answer):
    reply = ask(always(answer))
    assert (reply.status, reply.body, reply.length) == (200, b"OK", 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "5xx"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "wrong_status"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "wrong_body"),
        (b"SSH-2.0-OpenSSH\r\n", "wrong_body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\n\r\nOK", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-", "reset"),
        (b"", "reset"),
    ],
)
def test_a_failure_has_its_class(ask, answer, error):
    with pytest.raises(FailedError) as failure:
        ask(always(answer, close=True))
    assert failure.value.error == error


def test_silence_is_a_timeout(ask):
    with pytest.raises(FailedError, match=r"within 3 s") as failure:
        ask(always(b"HTTP/1.1 200 OK\r\n"), seconds=3)
    assert failure.value.error == "timeout"


def test_a_missing_socket_is_no_connection(tmp_path):
    with pytest.raises(FailedError) as failure:
        simulated(Client(f"unix:{tmp_path}/none.sock").ask(encode("/")))
    assert failure.value.error == "connect"


@pytest.mark.parametrize(
    ("keep", "pause", "connections", "last"),
    [(True, 1.0, 1, "reused"), (True, IDLE_SECONDS + 1, 3, "new"), (False, 1.0, 3, "new")],
    ids=["kept", "idle for too long", "not kept"],
)
def test_a_connection_is_used_again_where_it_may(tmp_path, keep, pause, connections, last):
    async def work():
        path = tmp_path / "peer.sock"
        async with serving(path, always(GOOD)) as made:
            client = Client(f"unix:{path}", keep=keep)
            for _ in range(3):
                exchange = Exchange()
                await client.send(Request("GET", "/"), exchange, 5.0)
                await asyncio.sleep(pause)
            client.close()
            return len(made), exchange.connection

    assert simulated(work()) == (connections, last)


def test_a_kept_connection_that_the_server_closed_is_not_used(tmp_path):
    async def work():
        path = tmp_path / "peer.sock"
        async with serving(path, always(GOOD, close=True)) as made:
            client = Client(f"unix:{path}")
            for _ in range(2):
                await client.expect(encode("/"))
                await asyncio.sleep(0.01)
            return len(made)

    assert simulated(work()) == 2


def test_an_answer_that_nothing_asked_for_ends_the_connection(tmp_path):
    async def twice(_, writer):
        writer.write(GOOD)
        await asyncio.sleep(1)
        writer.write(GOOD)
        return True

    async def work():
        path = tmp_path / "peer.sock"
        async with serving(path, twice) as made:
            client = Client(f"unix:{path}")
            await client.expect(encode("/"))
            await asyncio.sleep(2)
            await client.expect(encode("/"))
            return len(made)

    assert simulated(work()) == 2


def test_a_request_with_a_document_is_a_post():
    assert encode("/a", authorization="x").startswith(b"GET /a HTTP/1.1\r\nHost: ")
    sent = encode("/a", {"b": 1})
    assert sent.startswith(b"POST /a ")
    assert sent.endswith(b'Content-Length: 8\r\n\r\n{"b": 1}')


@pytest.mark.parametrize(
    ("url", "name", "port"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", 8080), ("https://edu.example", "edu.example", 443),
        ("http://[::1]:81", "[::1]:81", 81), ("unix:/run/x.sock", "localhost", 80),
    ],
)  # fmt: skip
def test_an_address_has_a_host_to_send_and_a_port(url, name, port):
    address = Address.parse(url)
    assert (address.name, address.port, bool(address.tls)) == (name, port, url.startswith("https"))


def test_tls_is_spoken_to_a_certificate_that_is_trusted_and_to_no_other(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)

    async def work():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        async with server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(FailedError) as refused:
                await Client(url).expect(encode("/"))
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            trusting = Client(url)
            reply = await trusting.expect(encode("/"))
            trusting.close()
            return refused.value.error, reply.body

    assert asyncio.run(work()) == ("connect", b"OK")
