"""The typed endpoints, asked by schemathesis what their document allows and what it does not.

Whatever is sent, no answer is a server error, and each is one that the document lists, in the form that it gives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bridge import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.bridge.stack import Server

CHECKOUT = Path(__file__).resolve().parents[2]
CHECKED = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)
BULK = "/api/v1/bulk"
# Nobody may do little, and what is refused for want of a name needs no list of its edges.
PHASES = {"admin": "examples,coverage,fuzzing", "nobody": "examples,fuzzing"}


@pytest.fixture(scope="module")
def own_plone(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Plone to be broken: what happens to its content here is nobody else's business."""
    with stack.plone(engine, tmp_path_factory.mktemp("own"), "plone-own") as server:
        yield server


def schemathesis(server: Server, folder: Path, document: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it with the same seed each time; return its exit code (0: nothing found) and words."""
    words = [
        str(Path(sys.executable).with_name("schemathesis")), "run", document, "--url", server.url, "--checks", CHECKED,
        "--max-examples", "10", "--seed", "1", "--no-shrink", "--continue-on-failure", "--warnings", "off",
        "--no-color",
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.bridge.hooks", "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [*words, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.rotates(2)  # both callers of one Python, half a minute each
@pytest.mark.parametrize("caller", PHASES)
@pytest.mark.parametrize("python", stack.PYTHONS)
def test_every_answer_is_one_that_the_document_lists(engine, own_plone, tmp_path, python, caller):
    phases = PHASES[caller]
    who = ["--auth", ":".join(own_plone.admin)] if caller == "admin" else []
    with stack.bridge(engine, own_plone, python) as server:
        document = f"{server.url}/api/v1/openapi.json"
        # An event stream has no end, so schemathesis would wait for it for ever: tests/unit/bridge/live reads it.
        asked = ("--exclude-path", "/api/v1/events", "--exclude-path", BULK)
        done = schemathesis(server, tmp_path, document, "--phases", phases, *asked, *who)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert "Tested: 32" in done.stdout
        # Any text is lines, and a line that is no operation is a result in an answer of 200: nothing is rejected.
        asked = ("--include-path", BULK, "--exclude-checks", "negative_data_rejection")
        done = schemathesis(server, tmp_path, document, "--phases", phases, *asked, *who)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert "Tested: 1" in done.stdout
        assert "Traceback" not in server.log


def test_an_answer_that_the_document_does_not_list_is_found(engine, own_plone, tmp_path):
    with stack.bridge(engine, own_plone, stack.PYTHONS[-1]) as server:
        document = server.ask("GET", "/api/v1/openapi.json").json()
        del document["paths"]["/api/v1/users"]["get"]["responses"]["401"]
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        only = ("--include-name", "GET /api/v1/users", "--phases", "fuzzing")
        done = schemathesis(server, tmp_path, "openapi.json", *only)
        assert (done.returncode, "Undocumented status code" in done.stdout) == (1, True), done.stdout
