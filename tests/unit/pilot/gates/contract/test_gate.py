"""The gate `contract` finds what green answers otherwise than blue, once each, and nothing that changes by itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from eduhub_pilot.adapters.http import exchange
from eduhub_pilot.commands.preflight import preflight
from eduhub_pilot.gates.candidate import Skipped
from eduhub_pilot.gates.contract import gate as contract
from eduhub_pilot.gates.contract.allow_list import covers
from eduhub_pilot.gates.self_test.candidates import LIVE_PAGES
from eduhub_pilot.gates.self_test.server import serving
from eduhub_pilot.model.facts import Reply
from tests.unit.pilot.world import World

JSON = {"content-type": "application/json", "vary": "Accept", "x-eduhub-slot": "blue"}
PAGES = {
    "/courses": (200, '{"items": [{"price": 1}, {"price": 2}], "at": "10:00"}'),
    "/teachers": (200, '{"items": []}'),
    "/nowhere": (404, '{"type": "NotFound", "message": "nothing here"}'),
}
REQUESTS = [{"path": path} for path in PAGES]


class Site:
    """A slot that answers `pages`; what differs from blue's is up to the test."""

    def __init__(self, **pages: tuple[int, str]) -> None:
        self.pages = {**PAGES, **{f"/{name}": page for name, page in pages.items()}}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.ticks = count(1)

    def __call__(self, path: str, method: str, headers: Mapping[str, str]) -> Reply:
        self.asked.append((path, method, headers))
        status, body = self.pages.get(path, (200, "{}"))
        body = body.replace("TICK", str(next(self.ticks)))
        return Reply(status, 0.01, None, {**JSON, **self.headers.get(path, {})}, body.encode())


@pytest.fixture
def started(live) -> World:
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    return live


def verdict(world: World, blue: Site, green: Site, **given: str):
    world.replies.update(blue=blue, green=green)
    return contract.run(world.candidate("run-2", contract_requests=REQUESTS, **given))


def test_a_green_that_answers_alike_passes(started):
    blue, green = Site(), Site()
    found = verdict(started, blue, green)
    assert (found.verdict, found.measured["findings"]) == ("pass", [])
    assert found.reason == (
        f"{len(blue.asked)} requests are answered as by the live release, 1 of them with an error or a redirect."
    )
    assert [each[:2] for each in blue.asked] == [each[:2] for each in green.asked]
    assert {path for path, *_ in blue.asked} >= {*PAGES, "/plone/", "/health", "/plone/@search?sort_on=path&b_size=10"}


def test_one_changed_number_format_one_header_and_one_error_body_are_three_findings(started):
    green = Site(
        courses=(200, '{"at": "10:00", "items": [{"price": 1.0}, {"price": 2.0}]}'),
        nowhere=(404, '{"type": "Missing", "message": "nothing to see", "code": 4}'),
    )
    green.headers["/teachers"] = {"vary": "Accept, Cookie"}
    found = verdict(started, Site(), green)
    assert (found.verdict, found.consequence) == ("fail", "revert")
    assert found.measured["findings"] == [
        "GET /courses: body.items[*].price is 1 on the live release and 1.0 on the candidate (2 times).",
        "GET /teachers: header vary is Accept on the live release and Accept, Cookie on the candidate.",
        'GET /nowhere: body.type is "NotFound" on the live release and "Missing" on the candidate.',
    ]
    assert found.reason.endswith("(2 times). That is the first of 3 differences.")


def test_over_real_connections_the_same_three_changes_are_three_findings_and_no_more(started):
    courses = {"items": [{"id": 1, "price": 1.0}, {"id": 2, "price": 2.0}], "at": "10:tick", "next": None}
    changed = {
        "/": replace(LIVE_PAGES["/"], headers={"Vary": "Cookie"}),
        "/courses": replace(LIVE_PAGES["/courses"], body=json.dumps(courses)),
        "/nowhere": replace(
            LIVE_PAGES["/nowhere"], body='{"type": "Missing", "message": "Nothing to see.", "code": 4}'
        ),
    }
    candidate = started.candidate("run-2", contract_requests=[{"path": path} for path in LIVE_PAGES])
    with (
        serving(LIVE_PAGES, None, "blue", "old") as blue,
        serving(LIVE_PAGES, None, "green", "new") as same,
        serving(changed, None, "green", "new") as green,
    ):
        three = ["/ header vary", "/courses body.items[*].price", "/nowhere body.type"]
        for site, findings in ((same, []), (green, three)):
            endpoints = {"blue": blue.address, "green": site.address}
            host = replace(
                candidate.host, settings=replace(candidate.host.settings, private_endpoints=endpoints), fetch=exchange
            )
            found = contract.run(replace(candidate, host=host))
            words = [line.split() for line in found.measured["findings"]]
            named = sorted(" ".join(line[1 : 4 if line[2] == "header" else 3]).replace(":", "") for line in words)
            assert (found.verdict, named) == ("fail" if findings else "pass", findings)


def test_what_changes_by_itself_is_no_finding_and_is_asked_again(started):
    ticking = {"courses": (200, '{"at": "10:TICK"}')}
    blue = Site(**ticking)
    found = verdict(started, blue, Site(**ticking, teachers=PAGES["/teachers"]))
    assert found.verdict == "pass"
    blue, green = Site(**ticking), Site(**ticking)
    next(green.ticks)
    found = verdict(started, blue, green)
    assert (found.verdict, found.measured["passing"]) == ("pass", 1)
    assert Counter(path for path, *_ in blue.asked)["/courses"] == contract.PAIRS


def test_content_that_changes_meanwhile_is_no_finding(started):
    blue, green = Site(), Site()
    new = (200, '{"items": [{"price": 7}]}')
    green.pages["/courses"] = new

    def changed(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        reply = blue(path, method, headers)
        if path == "/courses":
            blue.pages["/courses"] = new
        return reply

    started.replies.update(blue=changed, green=green)
    assert contract.run(started.candidate("run-2", contract_requests=REQUESTS)).verdict == "pass"


def test_a_green_that_is_wrong_now_and_then_is_found(started):
    green = Site()
    right, turns = PAGES["/courses"], count()

    def by_turns(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        if path == "/courses":
            green.pages[path] = right if next(turns) % 2 else (200, '{"at": "10:00"}')
        return green(path, method, headers)

    started.replies.update(blue=Site(), green=by_turns)
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert (found.verdict, "on the live release and absent on the candidate" in found.reason) == ("fail", True)


def answering(**by_turns: Callable[[int], tuple[int, str]]) -> Callable[[str, str, Mapping[str, str]], Reply]:
    """A slot whose answers differ from request to request: each page by the number of the request for it."""
    asked, usual = Counter(), Site()

    def answer(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        asked[path] += 1
        if page := by_turns.get(path.strip("/")):
            usual.pages[path] = page(asked[path])
        return usual(path, method, headers)

    return answer


BUSY, BROKEN = (503, '{"title": "Plone is busy"}'), (500, '{"title": "Internal Server Error"}')
NEWS = ("Open day on Friday", "Exams", "New dean of the faculty elected")


def headline(said: object) -> tuple[int, str]:
    return 200, json.dumps({"headline": said, "seats": 12})


def notes(number: int, *after: str) -> tuple[int, str]:
    return 200, "\n".join(["<h1>Courses</h1>", *(f"<p>now: {each}</p>" for each in range(number % 3)), *after])


VARYING = {
    "a live release that is busy once": (lambda n: BUSY if n == 2 else PAGES["/courses"], lambda _: BROKEN),
    "one that is busy at first": (lambda n: BUSY if n == 1 else PAGES["/courses"], lambda _: BROKEN),
    "and a candidate that is always busy": (lambda n: BUSY if n == 2 else PAGES["/courses"], lambda _: BUSY),
    "a text, and null": (lambda n: headline(NEWS[n % 3]), lambda _: headline(None)),
    "a text, and a number": (lambda n: headline(NEWS[n % 3]), lambda _: headline(5)),
    "a text, and nothing": (lambda n: headline(NEWS[n % 3]), lambda _: (200, '{"seats": 12}')),
    "more and fewer lines, and a line lost": (lambda n: notes(n, "Physics 1", "a b"), lambda n: notes(n, "a b")),
    "more and fewer lines, and an error": (
        lambda n: notes(n, "Physics 1"), lambda n: notes(n, "Physics 1", "Traceback (most recent call last)")),
}  # fmt: skip


@pytest.mark.parametrize(("blue", "green"), VARYING.values(), ids=VARYING)
def test_a_live_release_that_varies_does_not_hide_what_is_wrong(started, blue, green):
    started.replies.update(blue=answering(courses=blue), green=answering(courses=green))
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert (found.verdict, "GET /courses: " in found.reason) == ("fail", True), found.reason


def test_a_live_release_that_mostly_fails_leaves_it_open(started):
    both = [answering(courses=lambda n: PAGES["/courses"] if n % 7 == 2 else BUSY) for _ in range(2)]
    started.replies.update(blue=both[0], green=both[1])
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert found.verdict == "inconclusive"
    assert found.reason.endswith("not compared: the live release to GET /courses: 7 of 8 answers are failures.")


def teaser(source: random.Random) -> tuple[int, str]:
    return headline(source.choice(["a.jpg", "b.jpg"]))


def rare(source: random.Random) -> tuple[int, str]:
    return headline(None if source.random() < 0.1 else "News")


def results(source: random.Random) -> tuple[int, str]:
    rows = [{"id": source.randrange(99), "score": 1.5} for _ in range(source.randrange(4))]
    return 200, json.dumps({"items": rows, "total": len(rows)})


def portlets(source: random.Random) -> tuple[int, str]:
    said = [f"<p>{source.choice(['Open day', 'Exams', 'New dean of arts', 'Chess on Mondays, at 8'])}</p>"]
    return 200, "\n".join(["<h1>Courses</h1>", *said * source.randrange(3), "<p>Physics</p>", "</html>"])


def weather(source: random.Random) -> tuple[int, str]:
    return BUSY if source.random() < 0.1 else PAGES["/courses"]


@pytest.mark.parametrize(
    ("page", "passed"), [(teaser, 195), (rare, 150), (results, 195), (portlets, 195), (weather, 150)]
)
def test_a_release_whose_content_varies_never_fails_beside_itself(started, page, passed):
    """Of 200 runs; few are left to a person, where what is rare was seen on the candidate alone."""
    words: Counter[str] = Counter()
    for seed in range(200):
        source = random.Random(seed)  # noqa: S311 - a repeatable experiment
        both = answering(courses=lambda _, source=source: page(source))
        started.replies.update(blue=both, green=both)
        words[contract.run(started.candidate("run-2", contract_requests=REQUESTS)).verdict] += 1
    assert (words["fail"], words["error"], words["pass"] >= passed) == (0, 0, True), words


def test_python_version_and_uptime_on_the_health_page_are_expected_to_differ(started):
    blue = Site(health=(200, '{"python": "3.9.2", "version": "0.1.0", "uptime_seconds": 9000.5}'))
    green = Site(health=(200, '{"python": "3.11.2", "version": "0.2.0", "uptime_seconds": 1.5}'))
    assert verdict(started, blue, green).verdict == "pass"


def test_a_store_on_the_health_page_is_no_finding_for_releases_that_do_not_tell_of_it(started):
    blue = Site(health=(200, '{"status": "up"}'))
    green = Site(health=(200, '{"status": "up", "store": {"ready": true}}'))
    assert verdict(started, blue, green).verdict == "pass"


@pytest.mark.parametrize(("pattern", "where", "covered"), [
    ("body.total", "body.total", True), ("body.total", "body.total.count", True), ("body.total", "body.totals", False),
    ("body.items", "body.items[*].id", True), ("body.items[*].price", "body.items[*].price.net", True),
    ("body.total.count", "body.total", False), ("*", "status", True), ("header vary", "header vary", True),
])  # fmt: skip
def test_a_place_covers_what_is_below_it_and_nothing_beside(pattern, where, covered):
    assert covers(pattern, where) is covered


ALLOWED = {"path": "/courses", "where": "body.items[*].price", "why": "ticket 4"}


@pytest.mark.parametrize(("until", "word", "said"), [
    ("2026-12-31", "pass", "; known differences: 1."), ("2025-12-31", "fail", "It was allowed until 2025-12-31."),
])  # fmt: skip
def test_an_allowed_difference_passes_until_its_day(started, until, word, said):
    green = Site(courses=(200, '{"items": [{"price": 1.0}, {"price": 2}], "at": "10:00"}'))
    found = verdict(started, Site(), green, contract_allowed=[{**ALLOWED, "until": until}])
    assert (found.verdict, said in found.reason) == (word, True)


VARY = {"path": "*", "where": "header vary", "until": "2026-12-31", "why": "the new release reads the cookie"}


def slow(world: World, answer: Callable[[str, str, Mapping[str, str]], Reply]):
    """The same answers, each a tenth of a second later."""

    def late(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        world.clock.passed += 0.1
        return answer(path, method, headers)

    return late


def varied(answer: Callable[[str, str, Mapping[str, str]], Reply]):
    """The same answers with another `vary`, which VARY allows."""

    def other(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        reply = answer(path, method, headers)
        return replace(reply, headers={**reply.headers, "vary": "Accept, Cookie"})

    return other


def test_a_difference_allowed_on_each_of_many_pages_needs_no_proof_and_no_more_time(started):
    blue, green = Site(), Site()
    started.replies.update(blue=slow(started, blue), green=slow(started, varied(green)))
    pages = [{"path": f"/courses?n={number}"} for number in range(300)]
    found = contract.run(started.candidate("run-2", contract_requests=pages, contract_allowed=[VARY]))
    assert (found.verdict, len(found.measured["allowed"])) == ("pass", contract.MOST), found.reason
    assert found.reason.endswith(f"; known differences: {len(blue.asked)}.")
    assert found.seconds < found.budget["seconds"]


def test_an_allowed_difference_beside_content_that_changes_by_itself_takes_three_pairs(started):
    pages = {f"ticks/{number}": (200, '{"at": "10:TICK"}') for number in range(30)}
    blue, green = Site(**pages), Site(**pages)
    next(green.ticks)
    started.replies.update(blue=slow(started, blue), green=slow(started, varied(green)))
    asked = [{"path": f"/{name}"} for name in pages]
    found = contract.run(started.candidate("run-2", contract_requests=asked, contract_allowed=[VARY]))
    assert (found.verdict, found.seconds < found.budget["seconds"]) == ("pass", True), found.reason
    assert {Counter(path for path, *_ in blue.asked)[f"/{name}"] for name in pages} == {contract.PAIRS}


def test_an_allowed_difference_hides_no_other_that_takes_longer_to_be_sure(started):
    """The header is sure at eight pairs; of what green answers wrong every other time that needs more."""
    green, turns = Site(), count()

    def by_turns(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        if path == "/courses":
            green.pages[path] = PAGES["/courses"] if next(turns) % 2 else (200, '{"at": "10:00"}')
        return green(path, method, headers)

    started.replies.update(blue=Site(), green=varied(by_turns))
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS, contract_allowed=[VARY]))
    assert (found.verdict, "absent on the candidate" in found.reason) == ("fail", True), found.reason
    assert any("header vary" in line for line in found.measured["allowed"])


def test_a_failure_of_the_live_release_that_the_candidate_ends_can_be_allowed(started):
    entry = {"path": "/courses", "where": "status", "until": "2026-12-31", "why": "ticket 5"}
    found = verdict(started, Site(courses=BROKEN), Site(), contract_allowed=[entry])
    assert (found.verdict, len(found.measured["allowed"])) == ("pass", 1), found.reason


def test_an_allowance_that_ends_at_midnight_counts_for_the_whole_run(started, monkeypatch):
    today = started.candidate("run-2").host.clock.now()
    days = count()
    clock = type(started.clock)
    monkeypatch.setattr(clock, "now", lambda _: today + timedelta(days=min(next(days), 1)))
    candidate = started.candidate("run-2", contract_requests=REQUESTS, contract_allowed=[
        {**VARY, "until": str(today.date())}])  # fmt: skip
    days = count()
    started.replies.update(blue=Site(), green=varied(Site()))
    assert contract.run(candidate).verdict == "pass"


def test_the_place_of_a_finding_can_be_copied_into_an_allowance(started):
    green = Site(courses=(200, '{"items": [{"price": 1.0}, {"price": 2}], "at": "10:00"}'))
    where = verdict(started, Site(), green).reason.split()[2]
    allowed = [{"path": "/courses", "where": where, "until": "2026-12-31"}]
    assert verdict(started, Site(), green, contract_allowed=allowed).verdict == "pass"


def test_a_green_that_does_not_answer_is_a_difference(started):
    started.replies.update(blue=Site(), green=lambda *_: Reply(None, 2, "timeout"))
    found = contract.run(started.candidate("run-2"))
    assert found.verdict == "fail"
    assert "status is 200 on the live release and no answer before the timeout on the candidate" in found.reason


def test_a_blue_that_does_not_answer_leaves_it_open(started):
    blue = Site()
    started.replies.update(
        blue=lambda path, *rest: Reply(504, 2, "timeout") if path == "/courses" else blue(path, *rest), green=Site()
    )
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert (found.verdict, found.consequence) == ("inconclusive", "wait for a person")
    assert found.reason.endswith("not compared: the live release to GET /courses: no answer before the timeout.")


@pytest.mark.parametrize(("times", "verdict"), [(1, "pass"), (2, "inconclusive"), (1000, "fail")])
@pytest.mark.parametrize("lost", [Reply(None, 0, "closed"), Reply(503, 0, "no_listener")])
def test_one_connection_that_is_lost_as_where_haproxy_is_killed_is_not_counted(started, lost, times, verdict):
    site, left = Site(), [times]

    def green(*asked: Any) -> Reply:
        left[0] -= 1
        return site(*asked) if left[0] < 0 else lost

    started.replies.update(blue=Site(), green=green)
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert found.verdict == verdict, found.reason


def test_a_private_endpoint_that_refuses_is_an_error(started):
    started.replies.update(blue=Site(), green=lambda *_: Reply(None, 0, "refused"))
    found = contract.run(started.candidate("run-2"))
    assert (found.verdict, found.reason) == ("error", "The private endpoint of the candidate refused the connection.")


def test_what_is_not_asked_in_time_leaves_it_open(started):
    blue = Site()

    def slow(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        started.clock.sleep(2)
        return blue(path, method, headers)

    started.replies.update(blue=slow, green=Site())
    found = contract.run(started.candidate("run-2", contract_seconds="5"))
    assert (found.verdict, "was not sent within 5 s" in found.reason) == ("inconclusive", True)
    assert found.measured["requests"] == 3


def test_both_are_asked_by_the_public_name_and_with_the_credentials_of_the_file(started):
    started.settings.config.joinpath("secrets").mkdir(parents=True)
    started.settings.config.joinpath("secrets/editor").write_text("ana:s3cret-word\n")
    blue, green = Site(), Site(courses=(200, '{"echo": "ana:s3cret-word"}'))
    requests = [{"path": "/courses", "credentials": "editor"}]
    started.replies.update(blue=blue, green=green)
    found = contract.run(started.candidate("run-2", contract_requests=requests))
    asked = [headers for path, _, headers in blue.asked if path == "/courses"]
    assert asked[0] == {"Host": "127.0.0.1:8080", "Authorization": "Basic YW5hOnMzY3JldC13b3Jk"}
    assert found.verdict == "fail"
    assert "s3cret" not in json.dumps(found.document())


@pytest.mark.parametrize(("status", "location", "said"), [
    (401, "", "the live release refuses the credentials editor (answered 401)."),
    (302, "/login?came_from=/a", "the live release refuses the credentials editor (answered 302)."),
    (403, "", "as editor nothing is answered with content, so the credentials prove nothing."),
])  # fmt: skip
def test_refused_credentials_prove_nothing_and_are_not_tried_again(started, status, location, said):
    started.settings.config.joinpath("secrets").mkdir(parents=True)
    started.settings.config.joinpath("secrets/editor").write_text("ana:expired\n")
    sent: list[str] = []

    def refusing(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        reply = Site()(path, method, headers)
        if "Authorization" not in headers:
            return reply
        sent.append(path)
        return replace(reply, status=status, headers={**reply.headers, "location": location})

    started.replies.update(blue=refusing, green=refusing)
    requests = [{"path": path, "credentials": "editor"} for path in ("/a", "/b")]
    found = contract.run(started.candidate("run-2", contract_requests=requests))
    assert (found.verdict, found.reason.endswith(said)) == ("inconclusive", True), found.reason
    assert sent == (["/a"] if status != 403 else ["/a", "/a", "/b", "/b"])


@pytest.mark.parametrize("location", [
    "/login", "/plone/login_form?x=1", "/require_login", "/Shibboleth.sso/Login", "/saml2/acs", "/oauth2/authorize",
    "/LoginPage", "/sign-in?next=/a", "/users/log-in", "https://sso.example.edu/auth", "https://login.example.edu/",
    "/auth?then=/openid", "https://site.edu/login",
])  # fmt: skip
def test_a_redirect_to_a_login_is_told(location):
    assert contract.to_login(location, "site.edu")


@pytest.mark.parametrize("location", [
    "", "/lessons/3", "/professors", "https://site.edu/associations", "/designing-a-course", "/blogindex",
    "/professors/loginova", "/signing-up", "https://profesSOrs.edu/plone/", "https://sso.site.edu:8443/a", "http://[/",
])  # fmt: skip
def test_a_redirect_to_a_page_with_such_letters_is_none_to_a_login(location):
    assert not contract.to_login(location, "sso.site.edu:8443" if "8443" in location else "site.edu")


def test_a_page_that_redirects_to_lessons_does_not_refuse_the_credentials(started):
    started.settings.config.joinpath("secrets").mkdir(parents=True)
    started.settings.config.joinpath("secrets/editor").write_text("ana:valid\n")

    def site(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        reply = Site()(path, method, headers)
        moved = replace(reply, status=301, headers={**reply.headers, "location": "/lessons/3"})
        return moved if path == "/a" else reply

    started.replies.update(blue=site, green=site)
    requests = [{"path": path, "credentials": "editor"} for path in ("/a", "/b")]
    assert contract.run(started.candidate("run-2", contract_requests=requests)).verdict == "pass"


def test_a_site_that_refuses_everything_proves_nothing(started):
    def refusing(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        return replace(Site()(path, method, headers), status=401)

    started.replies.update(blue=refusing, green=refusing)
    found = contract.run(started.candidate("run-2"))
    assert (found.verdict, "requests are answered by both with errors or redirects" in found.reason) == (
        "inconclusive", True,
    )  # fmt: skip


def test_an_answer_of_haproxy_itself_proves_nothing(started):
    def haproxy(path: str, method: str, headers: Mapping[str, str]) -> Reply:
        return Reply(400, 0.01, None, {}, b"") if path == "/courses" else Site()(path, method, headers)

    started.replies.update(blue=haproxy, green=haproxy)
    found = contract.run(started.candidate("run-2", contract_requests=REQUESTS))
    assert found.verdict == "inconclusive"
    assert found.reason.endswith("not compared: HAProxy itself answered 400 to GET /courses.")


def test_a_request_with_a_host_of_its_own_is_sent_with_that_alone(started):
    blue = Site()
    started.replies.update(blue=blue, green=Site())
    contract.run(started.candidate("run-2", contract_requests=[{"path": "/courses", "headers": {"host": "a.edu"}}]))
    assert [headers for path, _, headers in blue.asked if path == "/courses"] == [{"host": "a.edu"}]


@pytest.mark.parametrize("content", [None, "", "two\nlines", "ümlaut:x"])
def test_credentials_that_cannot_be_used_are_named_before_anything_is_touched(started, content, monkeypatch, tmp_path):
    monkeypatch.setattr("eduhub_pilot.commands.preflight.MEMORY", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("")
    folder = started.settings.config / "secrets"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "editor").write_text(content)
    started.settings.gates["pilot_contract_requests"] = [{"path": "/a", "credentials": "editor"}]
    outcome = preflight(started.host, "run-2")
    assert (outcome.code, outcome.findings[0].code) == ("preflight_failed", "credentials_unreadable")
    assert contract.run(started.candidate("run-2", contract_requests=started.settings.gates[
        "pilot_contract_requests"])).verdict == "error"  # fmt: skip


def test_where_nothing_is_live_there_is_nothing_to_compare_with(world):
    begun = world.begin("run-1")
    world.role_bridge(begun.data["slot"], begun.data["record"])
    assert contract.run(world.candidate("run-1")) == Skipped("contract", "there is no live release to compare with.")


def test_a_live_slot_that_is_stopped_is_nothing_to_compare_with(started):
    del started.engine.containers["eduhub-blue"]
    assert "does not run" in contract.run(started.candidate("run-2")).reason


@pytest.mark.parametrize(("image", "skipped"), [("example.edu:5000/bridge:2", True), ("eduhub/bridge:new", False)])
def test_another_bridge_need_not_answer_the_same_and_another_version_must(live, image, skipped):
    live.engine.images[image] = live.engine.images["eduhub/bridge:py3.9"]
    begun = live.begin("run-2", "upgrade", spec=live.spec(image=image))
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.replies.update(blue=Site(), green=Site())
    found = contract.run(live.candidate("run-2"))
    assert isinstance(found, Skipped) == skipped
    if skipped:
        assert found.reason == (
            "the live release is eduhub/bridge and the candidate is example.edu:5000/bridge, another bridge."
        )


def asked(path: str) -> str:
    """A line of the edge's log."""
    return json.dumps({"frontend": "public", "method": "GET", "status": 200, "path": path})


def test_what_people_asked_for_is_compared_beside_the_chosen_requests(started):
    started.engine.logs["eduhub-edge"] = [asked("/courses"), asked("/plone/news"), asked("/plone/news")]
    found = verdict(started, Site(), Site(**{"plone/news": (200, '{"one": "more"}')}), contract_sampled="5")
    assert found.verdict == "fail"
    assert "GET /plone/news (application/json): body" in found.reason
    assert found.measured["sampled"] == 2


def test_what_people_asked_for_and_cannot_be_compared_stops_nobody(started):
    started.engine.logs["eduhub-edge"] = [asked("/plone/slow")]

    class Slow(Site):
        def __call__(self, path, method, headers):
            reply = super().__call__(path, method, headers)
            return reply.__class__(None, 5.0, "timeout", {}, b"") if path == "/plone/slow" else reply

    found = verdict(started, Slow(), Slow(), contract_sampled="5")
    assert (found.verdict, found.measured["sampled"], found.measured["uncompared"]) == ("pass", 0, [])
