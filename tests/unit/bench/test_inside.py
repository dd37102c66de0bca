"""What runs in the images calls the whole bridge, and an answer that is not 200 ends the measurement."""

from __future__ import annotations

import asyncio
import json

import pytest

from eduhub_bridge import settings
from eduhub_bridge.server.app import create_app
from tests.bench import operations
from tests.bench.inside import operations as inside


@pytest.fixture
async def caller(tmp_path):
    for name, content in operations.documents().items():
        (tmp_path / name).write_bytes(content)
    answers = inside.prepared(tmp_path)
    server = await asyncio.get_running_loop().create_server(lambda: inside.Mock(answers), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    app = create_app(settings.read({"PLONE_URL": f"http://127.0.0.1:{port}{operations.SITE}"}))
    life = inside.Lifespan(app)
    await life.start()
    yield inside.Caller(app)
    await life.stop()
    server.close()


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda each: each.name)
async def test_every_operation_answers(caller, operation):
    assert await inside.first_good(caller, list(operation.paths)) in operation.paths


async def test_a_path_that_does_not_answer_is_not_measured(caller):
    with pytest.raises(RuntimeError, match=r"no 200 .*404"):
        await inside.first_good(caller, ["/nothing"])
    work, requests = inside.workload(caller, "/nothing", 0)
    assert requests == inside.INNER
    with pytest.raises(RuntimeError, match="no longer"):
        await work(1)


async def test_many_users_ask_at_once(caller):
    work, requests = inside.workload(caller, operations.PASS_THROUGH.paths[0], 5)
    await work(2)
    assert requests == 5


def test_the_upstreams_answers_are_always_the_same_and_json():
    assert operations.documents() == operations.documents()
    sizes = {name: len(body) for name, body in operations.documents().items() if json.loads(body)}
    assert sizes["ok.json"] < sizes["site.json"] < sizes["page.json"] < sizes["listing.json"] < 16384
