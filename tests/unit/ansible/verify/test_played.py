"""The suite runs in Ansible's own worker and connection, and what it finds comes back as data."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.unit.ansible.played import CHECKOUT, played

SUITE = CHECKOUT / "ansible/verify"


@pytest.fixture
def urls() -> dict[str, str]:
    """Addresses where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    return dict.fromkeys(("stack", "blue", "green", "statistics"), url)


def test_a_host_without_a_stack_has_findings_with_codes_and_messages(urls):
    verified = played("stack_verify", suite=str(SUITE), stack="eduhub-absent", urls=urls)
    found = {finding["code"]: finding for finding in verified["findings"]}
    assert {"edge_unavailable", "statistics_unavailable", "state_unreadable", "journal_empty"} <= set(found)
    assert "check_incomplete" not in found
    what = (f"The edge does not answer (Connection refused) at {urls['stack']}/; "
            "expected an answer of the live slot.")  # fmt: skip
    assert found["edge_unavailable"] == {
        "check": "the_public_address_is_served_by_the_live_slot", "code": "edge_unavailable", "host": "here",
        "what": what, "message": f"{what} Next: `./invoke status`", "next": [["./invoke", "status"]],
    }  # fmt: skip
    assert (verified["changed"], verified["checks"] > 10) == (False, True)


def test_a_check_that_ends_with_an_error_is_a_finding(urls, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser): parser.addoption('--target')\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it(host): assert host.check_output('echo 1') == '2'\n")
    (finding,) = played("stack_verify", suite=str(tmp_path), stack="eduhub-absent", urls=urls)["findings"]
    assert (finding["code"], finding["check"]) == ("check_incomplete", "it")
    assert finding["message"].startswith("The check it was not completed: AssertionError: ")


@pytest.mark.parametrize(("name", "value"), [("PYTEST_ADDOPTS", "--collect-only"), ("PYTEST_PLUGINS", "absent")])
def test_no_setting_of_pytest_for_other_suites_leaves_checks_out(urls, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    verified = played("stack_verify", suite=str(SUITE), stack="eduhub-absent", urls=urls)
    assert verified["checks"] > 10


def test_a_host_that_cannot_be_observed_is_one_finding(urls, tmp_path):
    for path in SUITE.glob("*.*"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "observe.py").write_text("raise SystemExit('no such luck')\n")
    verified = played("stack_verify", suite=str(tmp_path), stack="eduhub-absent", urls=urls)
    assert [finding["code"] for finding in verified["findings"]] == ["observation_failed"]
    assert "exit code 1: no such luck. Next: `./invoke verify --verbose`" in verified["findings"][0]["message"]


def test_a_suite_that_cannot_run_fails_the_task(urls, tmp_path):
    for text, expected in (("import nothing_of_that_name", "nothing_of_that_name"), (None, "could not run")):
        suite = tmp_path / str(text is None)
        suite.mkdir()
        (suite / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--target')\n")
        if text:
            Path(suite, "test_it.py").write_text(text)
        with pytest.raises(AssertionError, match=expected):
            played("stack_verify", suite=str(suite), stack="eduhub-absent", urls=urls)
