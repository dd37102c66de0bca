"""One line a request, with the id by which the edge and the bridge log the same request."""

from __future__ import annotations

import re

import pytest

from eduhub_plone.access import AccessLog


def line(caplog, **environ):
    """Return the line for one request."""

    def application(_, start_response):
        start_response("201 Created", [])
        return [b""]

    base = {"PATH_INFO": "/Plone/t\u00fcr", "REMOTE_ADDR": "192.0.2.1", "REQUEST_METHOD": "POST"}
    caplog.clear()
    with caplog.at_level("INFO", "access"):
        AccessLog(application)({**base, **environ}, lambda *_: None)
    return [record.getMessage() for record in caplog.records]


def test_a_request_is_logged_with_its_id(caplog):
    (said,) = line(caplog, HTTP_X_REQUEST_ID="0346ffd1-b0f3-4f40-92c7-b73105fc3c86")
    assert re.fullmatch(r"192\.0\.2\.1 POST /Plone/t%C3%BCr 201 \d+ ms 0346ffd1-b0f3-4f40-92c7-b73105fc3c86", said)


@pytest.mark.parametrize("given", [{}, {"HTTP_X_REQUEST_ID": "a"}, {"HTTP_X_REQUEST_ID": "two words\nand a line"}])
def test_what_is_no_id_is_not_logged(caplog, given):
    (said,) = line(caplog, **given)
    assert said.endswith(" ms -")


@pytest.mark.parametrize("path", ["/Plone/passwordreset/planted", "/Plone/PasswordReset/planted/x"])
def test_the_token_of_a_password_reset_is_not_logged(caplog, path):
    (said,) = line(caplog, PATH_INFO=path)
    assert path.replace("planted", "-") in said


def test_the_health_check_is_not_logged(caplog):
    assert line(caplog, PATH_INFO="/ok") == []
