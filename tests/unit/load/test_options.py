"""A wrong option is one sentence and exit code 2, before any load."""

from __future__ import annotations

import pytest

from tests.load.options import OptionError, parse


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--url", "http://192.0.2.1"], "is not this machine: add --anywhere"),
        (["--url", "http://example.org"], "is not this machine: add --anywhere"),
        (["--url", "127.0.0.1:8080"], "is no plain address"),
        (["--url", "http://127.0.0.1:8080/plone"], "is no plain address"),
        (["--url", "http://127.0.0.1:x"], "is no address"),
        (["--seconds", "0"], "--seconds is 0: give a number from 0.1 to 7200"),
        (["--rate", "1e9"], "give a number from 0.1 to 500"),
        (["--rate", "nan"], "--rate is nan"),
        (["--post-rate", "50"], "give a number from 0 to 2"),
        (["--light", "health"], "'health' is no path"),
        (["--page", "/a b"], "'/a b' is no path"),
        (["--light", "/a", "--light-only", "/b"], "exclude each other"),
        (["--password-file", "/nowhere"], "cannot be read: No such file"),
        (["--nothing"], "unrecognized arguments: --nothing; --help"),
    ],
)
def test_a_wrong_option_is_one_sentence(words, sentence):
    with pytest.raises(OptionError) as refused:
        parse(words)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", "https://127.9.9.9", "unix:/run/x.sock"],
)
def test_this_machine_is_allowed(url):
    assert parse(["--url", url]).url == url


def test_elsewhere_is_allowed_when_asked_for():
    assert parse(["--url", "http://192.0.2.1", "--anywhere"]).url == "http://192.0.2.1"


def test_light_only_leaves_out_everything_else(tmp_path):
    (tmp_path / "password").write_text("x")
    options = parse(["--light-only", "/", "--password-file", str(tmp_path / "password")])
    assert (options.light, options.pages, options.page_rate, options.post_rate, options.slow, options.download) == (
        ("/",), (), 0.0, 0.0, "", "",
    )  # fmt: skip


def test_without_a_password_nothing_is_made():
    assert parse([]).post_rate == 0.0


def test_a_stack_that_does_not_answer_is_named_with_the_option_to_change(load, stack, password_file):
    for words, streams, sentence in [
        (("--light", "/missing"), (), f"GET {stack.url}/missing failed before the load began (wrong_status: 404"),
        (("--page", "/missing"), ("page",), "name others with --page"),
        (("--download", "/missing"), ("download",), "leave it out with --download ''"),
        (("--post-path", "/plone/missing", "--password-file", str(password_file)), (), "look at --post-path"),
        (("--events", "/nowhere/x"), (), "is no directory"),
        (("--audit", "/nowhere"), (), "holds no result of a load"),
    ]:
        result = load("--timeout", "0.5", *words, streams=streams)
        assert (result["exit"], result["changed"]) == (2, False)
        assert sentence in result["message"]


def test_a_wrong_password_is_found_before_the_load(load, tmp_path):
    (tmp_path / "wrong").write_text("guess")
    result = load("--timeout", "1", "--password-file", str(tmp_path / "wrong"))
    assert (result["exit"], "401 instead of 200" in result["message"], "guess" in result["message"]) == (2, True, False)
