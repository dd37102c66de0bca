"""Slots on both Pythons, in their images, that share a PostgreSQL and no disk: one ends what the other began."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.bridge import stack
from tests.unit.bridge.postgres import PROGRAMS
from tests.unit.bridge.postgres import Server as Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bridge.stack import Server

API = "/api/v1"
OPERATIONS = [
    {"op": "create", "path": "/submissions", "key": f"pg{number}", "item": {"@type": "Document", "title": f"t{number}"}}
    for number in range(12)
]
BODY = "\n".join(json.dumps(each) for each in OPERATIONS)


@pytest.fixture
def slots(engine, plone, tmp_path) -> Iterator[Callable[[str], Any]]:
    """Starts a slot on a Python, all on one empty database: slots(python) is a context manager; the server is there."""
    assert PROGRAMS, "There is no PostgreSQL here: apt install postgresql."
    postgres = Postgres()
    (tmp_path / "dsn").write_text(postgres.database("bridge"))
    (tmp_path / "key").write_text("a key that both slots are given, long enough")
    tmp_path.chmod(0o755)
    settings = {
        "EDUHUB_STATE_DSN_FILE": str(tmp_path / "dsn"), "EDUHUB_STATE_KEY_FILE": str(tmp_path / "key"),
        "EDUHUB_JOB_LEASE_SECONDS": "2",
    }  # fmt: skip

    def slot(python: str) -> Any:
        return stack.bridge(engine, plone, python, [tmp_path, postgres.folder], **settings)

    slot.postgres = postgres
    yield slot
    postgres.remove()


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.1)
    return found


def bulk(server: Server, *prefer: str) -> Any:
    headers = {"content-type": "application/x-ndjson", **({"prefer": prefer[0]} if prefer else {})}
    return server.ask("POST", f"{API}/bulk", server.admin, data=BODY, headers=headers)


@pytest.mark.parametrize(("begins", "ends"), [stack.PAIR, stack.PAIR[::-1]], ids="-".join)
def test_a_job_begun_on_one_python_ends_on_the_other_over_a_restart_of_the_database(slots, begins, ends):
    with slots(begins) as first, slots(ends) as second:

        def job() -> Any:
            answer = second.ask("GET", f"{API}/jobs/{name}", second.admin)
            return answer.json() if answer.status_code == 200 else {"state": answer.status_code, "done": 0}

        name = bulk(first, "respond-async").json()["job"]
        until(lambda: job()["done"] > 1)
        first.container.kill()
        slots.postgres.stop()
        assert second.ask("GET", "/health/ready").status_code == 200
        assert second.ask("GET", f"{API}/jobs", second.admin).status_code == 503
        slots.postgres.start()
        ended = until(lambda: (found := job())["state"] == "done" and found)
        assert (ended["done"], ended["failed"]) == (len(OPERATIONS), 0)
        *lines, last = [json.loads(line) for line in bulk(second).text.splitlines()]
        assert ([line.get("replayed") for line in lines], last["failed"]) == ([True] * len(OPERATIONS), 0)
        found = second.ask("GET", f"{API}/search", second.admin, params={"path": "/submissions", "type": "Document"})
        made = [item["path"] for item in found.json()["items"] if item["title"].startswith("t")]
        assert len(made) == len(OPERATIONS)
        for path in made:
            second.ask("DELETE", f"{API}/content", second.admin, params={"path": path})
        for secret in (second.admin[1], "postgresql://"):
            assert secret not in first.log + second.log
