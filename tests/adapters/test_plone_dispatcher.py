"""Plone writes one thing at a time, and nobody who reads or signs in waits for that."""

from __future__ import annotations

from tests.adapters.plone_image import printed


def test_while_one_writes_others_read_and_sign_in_and_no_other_writes() -> None:
    assert printed("plone_dispatcher.py") == {
        "GET /Plone": True, "PROPFIND /Plone": True, "POST /Plone/@login": True,
        "POST /Plone/a/@querystring-search": True, "POST /Plone/a": False, "PATCH /Plone/a": False,
        "POST /Plone/@login/a": False,
    }  # fmt: skip
