"""Who is still at a slot is told by path, age and kind, from HAProxy's own words."""

from __future__ import annotations

from eduhub_pilot.model.connections import LISTED, Connection, connections, pages, unanswered, words

# As HAProxy 2.6.12 sent it for `show sess all`, without the lines about buffers and file descriptors.
SESSIONS = """\
0x561121b677c0: [25/Nov/2026:02:22:02.786195] id=4 proto=tcpv4 source=127.0.0.1:39368
  flags=0x84a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x561121a5cc80, pend_pos=(nil) waiting=0 epoch=0
  frontend=public (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:38999
  backend=blue (id=4 mode=http) addr=127.0.0.1:54778
  server=slot (id=1) addr=127.0.0.1:38998
  task=0x561121b67bb0 (state=0x00 nice=0 calls=3 rate=1 exp=57s tmask=0x1 age=3s)
  txn=0x561121b67d90 flags=0x0 meth=3 status=-1 req.st=MSG_DATA rsp.st=MSG_RPBEFORE req.f=0x0d rsp.f=0x00
0x561121b62f60: [25/Nov/2026:02:22:05.775533] id=5 proto=unix_stream source=unix:1
  flags=0x8, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=(nil), pend_pos=(nil) waiting=0 epoch=0
  frontend=GLOBAL (id=0 mode=tcp), listener=? (id=1) addr=unix:1
  backend=<NONE> (id=-1 mode=-)
  server=<NONE> (id=-1)
  task=0x561121b63350 (state=0x00 nice=-64 calls=1 rate=0 exp=<NEVER> tmask=0x1 age=0s)
0x7f72dc042d90: [25/Nov/2026:02:22:02.786393] id=1 proto=tcpv4 source=127.0.0.1:39340
  frontend=public (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:38999
  backend=green (id=4 mode=http) addr=127.0.0.1:54750
  task=0x7f72dc043180 (state=0x00 nice=0 calls=3 rate=1 exp=57s tmask=0x2 age=3s)
  txn=0x7f72dc043360 flags=0x3000 meth=1 status=-1 req.st=MSG_DONE rsp.st=MSG_RPBEFORE req.f=0x4c rsp.f=0x00
0x7f72dc0475f0: [25/Nov/2026:02:22:02.786393] id=2 proto=tcpv4 source=127.0.0.1:39356
  frontend=public (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:38999
  backend=blue (id=4 mode=http) addr=127.0.0.1:54756
  task=0x7f72dc0479e0 (state=0x00 nice=0 calls=4 rate=1 exp=57s tmask=0x2 age=1m3s)
  txn=0x7f72dc047bc0 flags=0x3000 meth=1 status=200 req.st=MSG_DONE rsp.st=MSG_DATA req.f=0x4c rsp.f=0x0d
0x7f72dc0475f1: [25/Nov/2026:02:22:02.786393] id=3 proto=tcpv4 source=127.0.0.1:39350
  frontend=public (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:38999
  backend=blue (id=4 mode=http) addr=127.0.0.1:54756
  task=0x7f72dc0479e0 (state=0x00 nice=0 calls=4 rate=1 exp=57s tmask=0x2 age=1h2m)
  txn=0x7f72dc047bc0 flags=0x3000 meth=1 status=101 req.st=MSG_TUNNEL rsp.st=MSG_TUNNEL req.f=0x4c rsp.f=0x0d
"""
TABLE = """\
# table: inflight, type: string, size:4000, used:5
0x561121b5e178: key=127.0.0.1:39330\\ /fast use=0 exp=7012 conn_cur=0
0x561121b68328: key=127.0.0.1:39350\\ /ws use=1 exp=7013 conn_cur=1
0x7f72dc04cd18: key=127.0.0.1:39356\\ /plone/a\\ b%20c use=1 exp=7011 conn_cur=1
"""
POSTED = Connection(None, 3, "request")


def test_path_age_and_kind_of_a_slots_connections_oldest_first():
    assert connections(SESSIONS, TABLE, "blue") == [
        Connection("/ws", 3720, "websocket"), Connection("/plone/a b%20c", 63, "stream"), POSTED,
    ]  # fmt: skip


def test_the_other_slots_connections_and_the_pilots_own_are_not_among_them():
    assert connections(SESSIONS, TABLE, "green") == [POSTED]
    assert connections("", TABLE, "green") == []


def test_only_a_request_that_came_whole_waits_for_its_answer():
    assert unanswered(SESSIONS, "green", 3) == 1
    assert unanswered(SESSIONS, "green", 3.5) == 0
    # An upload that is being sent, an answer that is, and a WebSocket.
    assert unanswered(SESSIONS, "blue", 0) == 0


def test_of_requests_over_one_connection_none_is_called_by_the_path_that_never_ends():
    film = "0x7f: key=127.0.0.1:39356\\ /film use=1 exp=1 conn_cur=1\n"
    events = "0x80: key=127.0.0.1:39356\\ /api/v1/events use=1 exp=1 conn_cur=1\n"
    for table in (film + events, events + film):
        (stream,) = [each for each in connections(SESSIONS, table, "blue") if each.kind == "stream"]
        assert (stream.path, stream.lasting) == ("/film", False)


def test_an_edge_without_the_table_leaves_paths_unknown():
    assert {each.path for each in connections(SESSIONS, "No such table\n", "blue")} == {None}


def test_a_long_ledger_takes_several_lines_and_is_short_in_words():
    many = [Connection(f"/{number}", number, "request") for number in range(200)]
    listed = [each for page in pages(many) for each in page]
    assert [each["path"] for each in listed] == [each.path for each in many]
    assert listed[1] == {"path": "/1", "seconds": 1, "kind": "request"}
    assert {len(page) for page in pages(many)} == {LISTED}
    assert pages([]) == [[]]
    assert words(many) == (
        "/0 (request, 0 s), /1 (request, 1 s), /2 (request, 2 s), /3 (request, 3 s), /4 (request, 4 s) and 195 more"
    )
    assert words([POSTED]) == "an unknown path (request, 3 s)"
