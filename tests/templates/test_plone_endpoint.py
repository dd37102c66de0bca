"""Plone's endpoint, and which change of Plone a standby takes over."""

from __future__ import annotations

import re

import pytest

from tests.templates.render import render, value

BEHIND, BEFORE, STOPPED = "true /data /run/eduhub/plone ", "true /data ", "false /data /run/eduhub/plone "
REPLACED = {"actions": [{"removed": "eduhub-plone"}]}


def test_requests_wait_as_long_as_the_inventory_says() -> None:
    text = render("plone", "haproxy.cfg.j2", plone_wait_seconds=77)
    assert re.findall(r"lua\.wait unix@/run/eduhub/plone/plone\.sock (\d+)", text) == ["77"]


def test_only_a_connection_that_failed_is_tried_again() -> None:
    text = render("plone", "haproxy.cfg.j2")
    assert re.findall(r"^ +(retry-on .*|http-reuse .*|option http-server-close)$", text, re.MULTILINE) == [
        "option http-server-close", "http-reuse never", "retry-on conn-failure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "changed", "environment", "expected"),
    [
        (BEHIND, REPLACED, {}, (True, False)),
        (BEFORE, REPLACED, {}, (False, True)),
        (STOPPED, REPLACED, {}, (False, False)),
        (BEHIND, {"actions": []}, {}, (False, False)),
        (BEHIND, REPLACED, {"ZEO_ADDRESS": "zeo:8100"}, (False, True)),
        (BEHIND, REPLACED, {"RELSTORAGE_DSN_FILE": "/x"}, (False, True)),
    ],
)
def test_a_running_plone_in_files_behind_its_endpoint_is_taken_over_and_any_other_cut(
    runs: str, changed: dict[str, object], environment: dict[str, str], expected: tuple[bool, bool]
) -> None:
    given = {"plone_runs": {"stdout": runs}, "plone_container": changed, "plone_environment": environment}
    assert (value("_plone_takes_over", **given), value("_plone_cuts", **given)) == expected
