"""Changes reach those who may know of them, in both slots, in order and once; and nobody else."""

from __future__ import annotations

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import unix_connect

from tests.unit.bridge.helpers import metric, until
from tests.unit.bridge.jobs.conftest import create
from tests.unit.bridge.live.conftest import Events, heard, live
from tests.unit.bridge.restapi import basic, token

pytestmark = pytest.mark.slow


def passed(slot, method, path, document=None):
    body = json.dumps(document or {}).encode()
    length = f"Content-Length: {len(body)}"
    return slot.get(f"/plone{path}", f"Authorization: {basic('admin')}", length, method=method, body=body)


def test_a_write_through_either_slot_is_told_in_both_without_asking_plone(slots, cms):
    slots.shared["EDUHUB_LIVE_POLL_SECONDS"] = "3600"
    one, other = slots(), slots()
    streams = [Events(one, "editor"), Events(other, "editor")]
    assert passed(one, "POST", "/courses", {"@type": "Document", "id": "a", "title": "A"}).status == 201
    told = [stream.until("created", "/courses/a") for stream in streams]
    assert told[0] == told[1]
    assert (told[0]["uid"], told[0]["by"]) == (cms.items["/courses/a"].uid, "admin")
    for stream in streams:
        stream.close()


def test_what_was_told_is_not_told_again_once_plone_is_asked(slots):
    one, other = slots(), slots()
    streams = [Events(one, "editor"), Events(other, "editor")]
    one.bulk([create("a", item={"@type": "Document", "id": "a", "title": "A"})])
    change = {"op": "change", "path": "/courses/a", "item": {"title": "B"}}
    other.bulk([change, {"op": "publish", "path": "/courses/a"}])
    for stream in streams:
        assert [stream.next()["type"] for _ in range(3)] == ["created", "changed", "published"]
    one.bulk([{"op": "delete", "path": "/courses/a"}])
    for stream in streams:
        assert stream.next()["type"] == "deleted"
        assert stream.next(0.7) is None  # the poll finds nothing that was not told already
        stream.close()


def test_what_is_written_in_plone_itself_is_found_while_somebody_listens(slots, cms):
    slot = slots()
    cms.put("/courses/before", state="published")
    time.sleep(0.7)
    assert [path for _, path, _ in cms.asked if path == "/@search"] == []  # nobody listens, nobody asks
    stream = Events(slot)
    assert stream.next(1.0) is None
    cms.put("/courses/new", state="published")
    assert stream.next()["path"] == "/courses/new"
    assert stream.next(0.7) is None
    stream.close()
    until(lambda: metric(slot, "eduhub_bridge_listeners") == 0)
    time.sleep(0.3)
    searches = len([path for _, path, _ in cms.asked if path == "/@search"])
    time.sleep(1.2)
    assert len([path for _, path, _ in cms.asked if path == "/@search"]) == searches


def test_nobody_learns_of_an_item_that_plone_does_not_show_him(slots, cms):
    slot = slots()
    anybody, editor = Events(slot), Events(slot, "editor")
    slot.bulk([create("secret", item={"@type": "Document", "id": "secret", "title": "x"})])
    assert editor.next()["type"] == "created"
    slot.bulk([{"op": "change", "path": "/courses/secret", "item": {"title": "y"}}])
    assert editor.next()["type"] == "changed"
    slot.bulk([{"op": "delete", "path": "/courses/secret"}])
    assert editor.next()["type"] == "deleted"
    cms.put("/courses/hidden")
    assert editor.next()["path"] == "/courses/hidden"
    cms.put("/courses/open", state="published")
    assert anybody.next()["path"] == "/courses/open"  # the first it hears of
    assert "by" not in (anybody.next(0.1) or {})
    for stream in (anybody, editor):
        stream.close()


def test_the_name_of_who_changed_it_is_for_users_only(slots, cms):
    slot = slots()
    cms.put("/courses/open", state="published")
    anybody, editor = Events(slot), Events(slot, "editor")
    change = {"op": "change", "path": "/courses/open", "item": {"title": "y"}}
    for operation in (change, {"op": "delete", "path": "/courses/open"}):
        slot.bulk([operation])
        assert ("by" in anybody.next(), editor.next()["by"]) == (False, "admin")


def test_a_listener_that_comes_back_gets_what_it_missed_in_whatever_slot(slots, cms):
    one, other = slots(), slots()
    time.sleep(2.5)  # what there was before is older than any doubt about clocks
    stream = Events(one, "editor")
    one.bulk([create(f"t{number}", item={"@type": "Document", "id": f"t{number}"}) for number in range(5)])
    seen = [stream.next() for _ in range(2)]
    assert [each["path"] for each in seen] == ["/courses/t0", "/courses/t1"]
    stream.close()
    again = Events(other, "editor", last=seen[-1]["id"])
    assert [again.next()["path"] for _ in range(3)] == [f"/courses/t{number}" for number in range(2, 5)]
    cms.put("/courses/meanwhile")
    assert again.next()["path"] == "/courses/meanwhile"
    one.bulk([{"op": "publish", "path": "/courses/t0"}])
    assert again.next()["type"] == "published"
    again.close()
    lost = Events(other, "editor", last=10**9)
    assert lost.next()["type"] == "reset"


def test_a_write_through_a_typed_endpoint_is_told(slots, cms):
    slot = slots()
    cms.put("/courses/ä b", state="published")
    stream = Events(slot)
    path, fields = "/courses/%C3%A4%20b", [f"Authorization: {basic('admin')}", "Content-Type: application/json"]
    for method, body, told in (("PATCH", b'{"title": "x"}', "changed"), ("DELETE", b"", "deleted")):
        length = f"Content-Length: {len(body)}"
        answer = slot.get(f"/api/v1/content?path={path}", *fields, length, method=method, body=body)
        assert answer.status < 300, answer.body
        assert stream.next()["type"] == told


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ([f"Authorization: {basic('admin')}"], "admin"),
        ([f"Authorization: {token('admin')}"], "admin"),
        # Plone took the cookie, and the token beside it is of nobody.
        ([f"Authorization: {token('professor', 'forged')}", "Cookie: a=b; __ac=admin"], None),
        ([f"Authorization: {token('professor', 'forged')}", "Cookie: a=b", "X-Session-Of: admin"], None),
        ([f"Authorization: {basic('editor')}", "Cookie: __ac=admin"], None),
    ],
)
def test_only_a_user_whom_plone_confirms_is_named(slots, cms, fields, name):
    cms.revoked.add(token("professor", "forged"))
    slot = slots()
    stream = Events(slot, "editor")
    cms.put("/courses/b")
    body = b'{"title": "B"}'
    passed = slot.get(
        "/plone/++api++/courses/b", *fields, f"Content-Length: {len(body)}", method="PATCH", body=body
    )  # fmt: skip
    assert passed.status == 204
    assert stream.until("changed", "/courses/b").get("by") == name
    stream.close()


def test_a_move_by_the_address_of_volto_is_told_at_both_places(slots, cms):
    slot = slots()
    cms.put("/courses/from", "Folder", state="published")
    cms.put("/courses/to", "Folder", state="published")
    item = cms.put("/courses/from/a", state="published")
    here, there = Events(slot, query="?path=/courses/from"), Events(slot, query="?path=/courses/to")
    passed(slot, "PATCH", "/++api++/courses/from/a", {"title": "seen"})
    assert here.until("changed", "/courses/from/a")
    moved = passed(slot, "POST", "/++api++/courses/to/@move", {"source": ["/courses/from/a"]})
    assert (moved.status, item.path) == (200, "/courses/to/a")
    for stream in (here, there):
        assert stream.until("moved", "/courses/to/a")["old_path"] == "/courses/from/a"
        stream.close()


def test_a_deleted_folder_is_told_to_who_listens_in_it(slots, cms):
    slot = slots()
    cms.put("/courses/a", "Folder", state="published")
    cms.put("/courses/a/b", "Folder", state="published")
    stream = Events(slot, query="?path=/courses/a/b")
    passed(slot, "PATCH", "/courses/a/b", {"title": "B"})
    assert stream.until("changed", "/courses/a/b")
    assert passed(slot, "DELETE", "/++api++/courses//a").status == 204
    assert stream.until("deleted", "/courses/a")
    stream.close()


def test_presence_ends_when_the_item_is_not_shown_any_more(slots, cms):
    slot = slots()
    item = cms.put("/courses/a", state="published")
    reader, admin = live(slot, "reader"), live(slot, "admin")
    for socket in (reader, admin):
        socket.send('{"type": "join", "path": "/courses/a"}')
    while len(heard(admin, "presence")["people"]) < 2:
        pass
    item.state = "private"
    assert heard(reader, "left")["path"] == "/courses/a"
    while [each["name"] for each in heard(admin, "presence")["people"]] != ["admin"]:
        pass


def test_a_change_of_the_site_itself_is_told(slots, cms):
    stream = Events(slots())
    cms.put("/", "Site", state="published")
    slots.started[0].bulk([{"op": "change", "path": "/", "item": {"title": "x"}}])
    assert stream.until("changed", "/")["uid"] == "root"


def test_only_what_is_below_the_path_is_told(slots, cms):
    slot = slots()
    cms.put("/news", "Folder", state="published")
    stream = Events(slot, "editor", "?path=/news")
    item = {"@type": "Document", "id": "b"}
    slot.bulk([create("a", item=item), create("b", "/news", item=item)])
    assert stream.next()["path"] == "/news/b"
    assert slot.get("/api/v1/events?path=news").status == 422


def test_who_is_too_slow_is_cut_and_the_others_hear_everything(slots, cms, record_property):
    slot = slots(EDUHUB_LIVE_POLL_SECONDS="3600")
    title, count = "x" * 700, 700
    for number in range(count):
        cms.put(f"/courses/{title}{number}", state="published")
    slow, quick = Events(slot, "editor"), Events(slot, "editor")
    before = _resident(slot)
    with slot.connect() as connection:
        for number in range(count):
            body = b"{}"
            connection.sendall(
                f"PATCH /plone/courses/{title}{number} HTTP/1.1\r\nHost: b\r\nAuthorization: {basic('admin')}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            )
            while not connection.recv(65536).endswith(b"\r\n\r\n"):
                pass
            quick.until("changed", f"/courses/{title}{number}")
    grown = _resident(slot) - before
    record_property("grown_kib", grown)
    events = list(iter(slow.next, None))
    assert (slow.ended, 0 < len(events) < count) == (True, True)
    assert grown < 32 * 1024


def _resident(slot):
    with open(f"/proc/{slot.popen.pid}/status") as status:  # noqa: PTH123 - a file of the kernel
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1])


def test_people_at_one_item_know_of_each_other_in_both_slots(slots, cms):
    one, other = slots(), slots()
    cms.put("/courses/a", state="published")
    admin, editor, anybody = live(one, "admin"), live(other, "editor"), live(one)
    admin.send('{"type": "join", "path": "/courses/a"}')
    assert [each["name"] for each in heard(admin, "presence")["people"]] == ["admin"]
    editor.send('{"type": "join", "path": "/courses/a", "mode": "viewing"}')
    for socket, me in ((admin, "admin"), (editor, "editor")):
        people = heard(socket, "presence")["people"]
        assert [(each["name"], each["mode"], each["you"]) for each in people] == [
            ("admin", "editing", me == "admin"), ("editor", "viewing", me == "editor"),
        ]  # fmt: skip
    anybody.send('{"type": "join", "path": "/courses/a"}')
    assert "Only users" in heard(anybody, "error")["detail"]
    admin.send('{"type": "join", "path": "/courses/nothing"}')
    assert "There is no item" in heard(admin, "error")["detail"]
    editor.close()
    assert [each["name"] for each in heard(admin, "presence")["people"]] == ["admin"]
    admin.send('{"type": "leave", "path": "/courses/a"}')
    admin.send("rubbish")
    assert "Not understood" in heard(admin, "error")["detail"]


def test_a_websocket_hears_changes_and_may_say_later_who_it_is(slots, cms):
    slot = slots()
    socket = live(slot)
    cms.put("/courses/hidden")
    slot.bulk([{"op": "change", "path": "/courses/hidden", "item": {"title": "x"}}])
    socket.send(json.dumps({"type": "authenticate", "authorization": token("editor")}))
    assert heard(socket, "hello")["user"] == "editor"
    slot.bulk([{"op": "change", "path": "/courses/hidden", "item": {"title": "y"}}])
    assert heard(socket, "changed")["path"] == "/courses/hidden"
    socket.send(json.dumps({"type": "authenticate", "authorization": "Bearer rubbish"}))
    with pytest.raises(ConnectionClosed) as closed:
        heard(socket, "hello")
    assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(("origin", "user"), [("http://evil.example", None), ("http://bridge.test", "editor")])
def test_a_page_of_another_site_listens_in_nobodys_name(slots, origin, user):
    remembered = {"Authorization": basic("editor"), "Origin": origin}
    uri = "ws://bridge.test/api/v1/live"
    with unix_connect(str(slots().socket), uri=uri, additional_headers=remembered) as socket:
        assert heard(socket, "hello")["user"] == user
        socket.send(json.dumps({"type": "authenticate", "authorization": token("editor")}))
        assert heard(socket, "hello")["user"] == "editor"  # who gives it himself may


@pytest.mark.parametrize("scheme", ["https", "http", "wss", "ws"])
def test_a_websocket_is_let_in_however_a_proxy_names_its_scheme(slots, scheme):
    fields = {"X-Forwarded-Proto": scheme, "Authorization": basic("editor")}
    uri = "ws://bridge.test/api/v1/live"
    with unix_connect(str(slots().socket), uri=uri, additional_headers=fields) as socket:
        assert heard(socket, "hello")["user"] == "editor"


@pytest.mark.parametrize(
    ("target", "status"), [("/nothing", 404), ("/plone/x", 404), ("/api/v1/live?path=../x", 422)]
)
def test_a_websocket_that_cannot_be_opened_is_a_problem(slots, target, status):
    with pytest.raises(InvalidStatus) as refused:
        unix_connect(str(slots().socket), uri=f"ws://bridge.test{target}")
    answer = refused.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(answer.body)["status"] == status


def test_who_says_what_is_no_text_is_told_so_and_cut(slots):
    socket = live(slots())
    socket.send(b"\x00\xff")
    assert heard(socket, "bye")["why"] == "Only text is understood."
    with pytest.raises(ConnectionClosed) as closed:
        heard(socket, "hello")
    assert closed.value.rcvd.code == 1003


def test_a_stopped_bridge_says_goodbye_at_once(slots):
    slot = slots()
    socket, stream = live(slot, "admin"), Events(slot)
    started = time.monotonic()
    assert slot.stop() == 0
    assert time.monotonic() - started < 20  # the grace is 25
    with pytest.raises(ConnectionClosed) as closed:
        heard(socket, "hello")
    assert closed.value.rcvd.code == 1012
    assert stream.next()["type"] == "bye"
    assert not [line for line in slot.lines() if line["level"] == "error"]


def test_listeners_are_sent_elsewhere_when_traffic_has_moved_but_not_by_the_public(slots):
    slot = slots()
    socket, stream = live(slot, "admin"), Events(slot)
    goodbye = "/api/v1/live/goodbye"
    assert slot.get(goodbye, "X-Forwarded-For: 192.0.2.1", method="POST").status == 404
    assert stream.next(0.3) is None  # nobody was sent away
    assert slot.get(goodbye, method="POST").json() == {"listeners": 2}
    with pytest.raises(ConnectionClosed) as closed:
        heard(socket, "hello")
    assert closed.value.rcvd.code == 1012
    assert stream.next()["type"] == "bye"
    assert slot.get(goodbye, method="POST").json() == {"listeners": 0}
    until(lambda: metric(slot, "eduhub_bridge_listeners") == 0)
    live(slot, "admin").close()  # the slot goes on


def test_a_plone_that_fails_delays_changes_and_loses_none(slots, cms):
    slot = slots()
    stream = Events(slot, "editor")
    assert stream.next(0.3) is None
    port = cms.port
    slot.bulk([create("a", item={"@type": "Document", "id": "a"})])
    cms.stop()
    time.sleep(0.5)
    cms.start(port)
    slot.bulk([create("b", item={"@type": "Document", "id": "b"})])
    assert [stream.next()["path"] for _ in range(2)] == ["/courses/a", "/courses/b"]


def test_who_may_not_listen_gets_a_problem(slots):
    slot = slots()
    answer = slot.get("/api/v1/events", "Authorization: Bearer rubbish")
    assert (answer.status, answer.field("content-type")) == (401, ["application/problem+json"])
