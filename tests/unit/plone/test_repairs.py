"""Plone's own repairs: a form does not lead Zope elsewhere than the address."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from eduhub_plone.repairs import keep_to_the_address

ASKED = "/VirtualHostBase/http/hub:80/Plone/VirtualHostRoot/_vh_plone/login"


class BadRequest(Exception):  # noqa: N818
    """Zope's."""


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What answers with the path that Zope would go, given the name that a form ends in `:method`."""

    class HTTPRequest:
        """Appends a form's method to the path, as Zope's own (processInputs) does."""

        def __init__(self, method: str) -> None:
            self.environ, self.other, self.method = {"PATH_INFO": f"{ASKED}/"}, {}, method

        def processInputs(self) -> None:  # noqa: N802
            if self.method:
                self.other["PATH_INFO"] = f"{ASKED}/{self.method}"

    request = {"HTTPRequest": HTTPRequest}
    zope = {"ZPublisher": {}, "ZPublisher.HTTPRequest": request, "zExceptions": {"BadRequest": BadRequest}}
    for name, members in zope.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    keep_to_the_address()

    def path(method: str) -> str | None:
        request = HTTPRequest(method)
        request.processInputs()
        return request.other.get("PATH_INFO")

    return path


@pytest.mark.parametrize(
    "method", ["..", "../x", "x/../../y", "https/evil:443/Plone/VirtualHostRoot/x", "_vh_evil/x", "a/++vh++http:b/++"]
)
def test_a_form_that_leads_elsewhere_is_a_bad_request(process: Any, method: str) -> None:
    """The path that was asked for may itself hold the words of virtual hosting."""
    with pytest.raises(BadRequest, match="':method'"):
        process(method)


@pytest.mark.parametrize(
    ("method", "expected"), [("", None), ("delete", f"{ASKED}/delete"), ("a/..b", f"{ASKED}/a/..b")]
)
def test_plones_own_forms_call_their_methods(process: Any, method: str, expected: str | None) -> None:
    """A button names what is called."""
    assert process(method) == expected
