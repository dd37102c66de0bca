"""What is read can be written again; what could not be is refused while it is read."""

from __future__ import annotations

import orjson
import pytest

from eduhub_bridge.plone.answers import PloneError, Reply, understood
from eduhub_bridge.plone.documents import MOST_LEVELS, read

DEEPEST = b"[" * MOST_LEVELS + b"]" * MOST_LEVELS


@pytest.mark.parametrize(
    "text", [DEEPEST, b'{"a":' * MOST_LEVELS + b"1" + b"}" * MOST_LEVELS, b"[" + b"{}," * 5000 + b'"[[["]', b"7"]
)
def test_a_document_is_read_and_can_be_written_with_more_around_it(text):
    document = read(text)
    assert document == orjson.loads(text)
    orjson.dumps({"a": [{"b": [{"c": document}]}]})


@pytest.mark.parametrize(
    "text",
    [b"[" + DEEPEST + b"]", b"[1,{}," + DEEPEST + b",2]", b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 2000, b"NaN", b""],
)
def test_what_could_not_be_written_is_not_read(text):
    with pytest.raises(orjson.JSONDecodeError):
        read(text)


def test_an_answer_of_plone_that_is_too_deep_is_no_document():
    assert Reply(200, {}, b"[" + DEEPEST + b"]").document() is None
    with pytest.raises(PloneError) as refused:
        understood(200, "application/json", b'{"blocks":' + DEEPEST + b"}")
    assert refused.value.status == 502
