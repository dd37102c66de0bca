"""A container of another program that has a name of the stack's is found before a deployment would replace it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.model import facts
from module_utils.host_readiness import containers
from module_utils.host_readiness.model import ForeignContainer
from tests.unit.ansible.library.hosts import FINE, codes, said

LISTED = """\
eduhub-edge\tnginx:1.27\t\tintranet
eduhub-blue\teduhub/bridge:py3.13\teduhub\t
eduhub-plone\tplone:6\tother\t
eduhub-test-edge\teduhub/edge:bookworm\teduhub-test\t
eduhub-app\tschool/eduhub:1\t\t
"""


@pytest.fixture
def asked(monkeypatch):
    """What the engine was asked; it knows the containers in LISTED."""
    words: list[tuple[str, ...]] = []

    def run(*given: str) -> str:
        words.append(given)
        return LISTED

    monkeypatch.setattr(containers, "run", run)
    return words


def test_only_the_stacks_own_names_without_its_label_are_foreign(asked):
    assert list(containers.foreign("eduhub")) == [
        ForeignContainer("eduhub-edge", "nginx:1.27", "intranet"), ForeignContainer("eduhub-plone", "plone:6"),
    ]  # fmt: skip
    (words,) = asked
    assert "--all" in words  # a stopped one has its name too


def test_an_engine_without_an_answer_has_none(monkeypatch):
    monkeypatch.setattr(containers, "run", lambda *_: None)
    assert list(containers.foreign("eduhub")) == []


def test_the_names_are_those_that_the_pilot_gives():
    named = {*facts.SLOTS, facts.SHIFT, facts.PLONE, facts.STANDBY_PLONE, facts.PREVIOUS_PLONE, facts.PLONE_AWAIT}
    assert named <= {*containers.PARTS}


def test_a_foreign_container_is_refused_with_its_owner_and_both_remedies():
    host = replace(FINE, foreign_containers=[ForeignContainer("eduhub-edge", "nginx:1.27", "intranet")])
    assert codes(host) == ["container_foreign"]
    (sentence,) = said(host)
    assert sentence == (
        "The container eduhub-edge of the Compose project intranet runs the image nginx:1.27, and is not the stack's: "
        "set eduhub_stack to a name that no other program has, or rename the container (docker rename eduhub-edge "
        "NAME)."
    )
