"""Plone's endpoint, and which change of Plone a standby takes over."""

from __future__ import annotations

import re

import pytest

from tests.templates.render import render, value

BEHIND, BEFORE = "true /data /run/eduhub/plone 6.0.13", "true /data 6.0.13"
UNNAMED, STOPPED = "true /data /run/eduhub/plone ", "false /data /run/eduhub/plone 6.0.13"
REPLACED = {"actions": [{"removed": "eduhub-plone"}]}
OTHER_IMAGE = {**REPLACED, "diff": {"after": {"image": "sha256:2"}}}


def test_requests_wait_as_long_as_the_inventory_says() -> None:
    text = render("plone", "haproxy.cfg.j2", plone_wait_seconds=77)
    assert re.findall(r"lua\.wait unix@/run/eduhub/plone/plone\.sock (\d+)", text) == ["77"]


def test_only_a_connection_that_failed_is_tried_again() -> None:
    text = render("plone", "haproxy.cfg.j2")
    assert re.findall(r"^ +(retry-on .*|http-reuse .*|option http-server-close)$", text, re.MULTILINE) == [
        "option http-server-close", "http-reuse never", "retry-on conn-failure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "changed", "environment", "expected", "version"),
    [
        (BEHIND, REPLACED, {}, (True, False), "6.0.13"),
        (BEHIND, OTHER_IMAGE, {}, (True, False), "6.0.13"),
        (BEHIND, OTHER_IMAGE, {}, (False, True), "6.1.4"),
        (BEHIND, OTHER_IMAGE, {}, (False, True), ""),
        (UNNAMED, OTHER_IMAGE, {}, (False, True), "6.0.13"),
        (UNNAMED, OTHER_IMAGE, {}, (False, True), ""),
        (UNNAMED, REPLACED, {}, (True, False), ""),
        (BEFORE, REPLACED, {}, (False, True), "6.0.13"),
        (STOPPED, REPLACED, {}, (False, False), "6.0.13"),
        (BEHIND, {"actions": []}, {}, (False, False), "6.0.13"),
        (BEHIND, REPLACED, {"ZEO_ADDRESS": "zeo:8100"}, (False, True), "6.0.13"),
        (BEHIND, REPLACED, {"RELSTORAGE_DSN_FILE": "/x"}, (False, True), "6.0.13"),
    ],
)
def test_a_running_plone_in_files_behind_its_endpoint_is_taken_over_and_any_other_cut(
    runs: str, changed: dict[str, object], environment: dict[str, str], expected: tuple[bool, bool], version: str
) -> None:
    given = {"plone_runs": {"stdout": runs}, "plone_container": changed, "plone_environment": environment,
             "plone_built": {"stdout": version}}  # fmt: skip
    assert (value("_plone_takes_over", **given), value("_plone_cuts", **given)) == expected
