"""The gate `contract` may ask what people asked for, as the edge's log has it, and leaves out what may be a secret."""

from __future__ import annotations

import json

import pytest

from eduhub_pilot.adapters.docker import LINE_CHARACTERS
from eduhub_pilot.gates.contract.sampled import sampled


def line(path: str, method: str = "GET", frontend: str = "public", status: int = 200) -> str:
    said = {"time": "2026-11-25T06:04:11.369Z", "source": "edge", "request": "0346ffd1", "client": "192.0.2.7"}
    said |= {"frontend": frontend, "slot": "blue", "server": "slot", "method": method, "status": status, "path": path}
    return json.dumps(said)


def paths(*lines: str, most: int = 10) -> list[str]:
    return [request.path for request in sampled(lines, most)]


def test_good_reads_of_the_public_are_taken_most_asked_first():
    lines = [line("/plone/b"), line("/plone/a"), line("/plone/b"), "[NOTICE] (1) : haproxy version is 2.6.12"]
    others = [
        line("/plone/c", method="POST"), line("/plone/d", frontend="private_blue"), line("/plone/e", status=401),
        line("/plone/f", status=404), line("", method="<BADREQ>"), "{", "[]", "7",
        '192.0.2.7 [25/Nov/2026:06:04:11.369] public blue/slot 0/0/0/1/1 200 9 ---- 0/0 GET /plone/old',
    ]  # fmt: skip
    assert paths(*lines, *others) == ["/plone/b", "/plone/a"]
    (request,) = sampled([line("/plone/a")], 1)
    assert (request.method, request.headers, request.credentials) == (
        "GET", (("Accept", "application/json"),), None,
    )  # fmt: skip


def test_half_is_what_is_asked_for_most_and_half_is_spread_over_the_rest():
    lines = [line(f"/plone/{number:02}") for number in range(20) for _ in range(20 - number)]
    assert paths(*lines, most=8) == [f"/plone/{number:02}" for number in (0, 1, 2, 3, 4, 8, 12, 16)]
    assert paths(*lines, most=0) == []


def test_a_line_that_may_have_been_cut_is_left_out():
    whole = "/plone/" + "z" * (LINE_CHARACTERS - 1 - len(line("/plone/")))
    assert paths(line(whole), line(whole + "b")) == [whole]


@pytest.mark.parametrize(
    "path",
    [
        "/plone/passwordreset/4711",
        "/plone/@@Reset/x",
        "/plone/resolveuid/0123456789abcdef0123456789abcdef",
        "/jobs/123e4567-e89b-12d3-a456-426614174000",
        "/weight/eyJhbGciOiJIUzI1NiJ9abc",
        "/plone/@users/ana@uni.example",
        "/plone/@users/ana%40uni.example",
        "/plone/logout",
        "/weight/Xk3-9fQ2aB-D_eFg7",
        "/plone/invitations/4711",
        "/newsletter/unsubscribe/4711",
    ],
)
def test_a_path_that_may_hold_a_secret_is_left_out(path):
    assert paths(line(path), line("/plone/introduction-to-photography-2026-part-2")) == [
        "/plone/introduction-to-photography-2026-part-2"
    ]
