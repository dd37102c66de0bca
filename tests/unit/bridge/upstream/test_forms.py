"""A form whose names would lead Plone elsewhere than the address is refused, however it is written and cut."""

from __future__ import annotations

import time

import pytest

from eduhub_bridge.upstream.addresses import RefusedError
from eduhub_bridge.upstream.forms import form

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=AbC"


def read(body: bytes, content_type: str, *, size: int, plain: bool = False) -> None:
    """Read a form in pieces of `size` bytes."""
    found = form("POST", content_type, plain=plain)
    assert found
    for at in range(0, len(body), size):
        found.feed(body[at : at + size])
    found.end()


def part(name: str, value: str = "1", more: str = "") -> bytes:
    """Return a multipart form with a field before and after the one in question."""
    fields = [('name="title"', "A"), (f'name="{name}"{more}', value), ('name="b"; filename="b"', "\n--AbD\n" * 4)]
    return b"".join(
        f"--AbC\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n".encode() for head, text in fields
    ) + b"--AbC--\r\n"  # fmt: skip


TRICKS = [
    (b"../content_status_modify:method=1&x=2", URLENCODED), (b"a=b&%2e%2e%2fx%3amethod=1", URLENCODED),
    (b"a=b&:action=../x", ""), (b"x/../../y:default_method=1", "Application/X-WWW-Form-URLencoded ; charset=UTF-8"),
    (b"a=" + b"x" * 70_000 + b"&VirtualHostRoot/x:method=1", "application/x-url-encoded"),
    (b":method=" + b"x/" * 20_000 + b"../x", URLENCODED), (b":method:utf_7=x", URLENCODED),
    (part("../x:method"), MULTIPART), (part(":method", "../x"), MULTIPART), (part(":default_action", "/x"), MULTIPART),
    (part("x/../y:list:action.x"), 'multipart/form-data; boundary="AbC"'), (part("../x:met\r\n hod"), MULTIPART),
    (part(".\n\t./x:method"), MULTIPART), (part('a\\";../x:method'), MULTIPART),
    (part("../x:method", "y" * 40_000, '; filename="a"'), MULTIPART), (part(":method", "y" * 40_000), MULTIPART),
    (part(":method", "x", "\r\nContent-Type: text/plain; charset=utf-7"), MULTIPART),
    (part("../x:method").replace(b"\r\n", b"\n"), MULTIPART),
    (part("../x:method").replace(b"AbC", b"A,b"), "multipart/form-data; boundary=A,b"),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("body", "content_type"), TRICKS)
def test_a_form_that_leads_elsewhere_is_refused(body: bytes, content_type: str, size: int) -> None:
    with pytest.raises(RefusedError, match="':method'"):
        read(body, content_type, size=size)


PLAIN = [
    (b"folder_delete:method=Delete&orig_template=../folder_contents&paths:list=/a", URLENCODED),
    (b"form.button.Save:action=..&:method=folder_rename&a:default_method.x=1", ""),
    (part("folder_delete:method", ".. or delete"), MULTIPART), (part(":method", "folder_rename"), MULTIPART),
    (part("file:list", "../x:method", '; filename="../x.txt"'), MULTIPART),
    (part("file", 'name="../x:method"\n' * 4000, '; filename="a"'), MULTIPART), (b"text=a:method/../", URLENCODED),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("body", "content_type"), PLAIN)
def test_the_forms_of_plone_pass(body: bytes, content_type: str, size: int) -> None:
    read(body, content_type, size=size)


def test_a_header_section_of_nothing_but_space_is_read_as_fast_as_one_of_letters() -> None:
    def seconds(padding: str) -> float:
        body = part("title", more=f"; filename=a{padding * 15_000}")
        began = time.process_time()
        for _ in range(20):
            read(body, MULTIPART, size=32_000)
        return time.process_time() - began

    # Once it took the length squared: some thousand times as long, in which nothing else was served.
    assert min(seconds(" ") / seconds("x") for _ in range(3)) < 50


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_header_section_that_is_too_long_is_refused_wherever_it_ends(size: int) -> None:
    with pytest.raises(RefusedError, match="header fields"):
        read(part("title", more="; filename=" + "x" * 17_000), MULTIPART, size=size)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"a=b&x:method=1", URLENCODED), (b"x:method=1", ""), (part("x:method"), MULTIPART)],
)
def test_what_is_taken_for_a_login_names_no_other_method(body: bytes, content_type: str) -> None:
    read(body, content_type, size=7)
    with pytest.raises(RefusedError, match="':method'"):
        read(body, content_type, size=7, plain=True)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data", "multipart/form-data; boundary=a; boundary=b", 'multipart/form-data; boundary="a\\"b"',
        URLENCODED + "; charset=utf-7", URLENCODED + '; Charset="UTF-16"', "; charset=rot13",
    ],
)  # fmt: skip
def test_a_form_that_can_be_read_in_two_ways_is_refused(content_type: str) -> None:
    with pytest.raises(RefusedError):
        form("POST", content_type, plain=False)


@pytest.mark.parametrize(
    ("method", "content_type"),
    [("POST", "application/json"), ("PATCH", URLENCODED), ("PUT", "image/png"), ("POST", "text/plain; charset=utf-7")],
)
def test_what_zope_does_not_take_for_a_form_is_not_read(method: str, content_type: str) -> None:
    assert form(method, content_type, plain=False) is None
