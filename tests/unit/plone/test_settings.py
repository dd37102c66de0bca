"""What the environment asks for, and what is refused."""

from __future__ import annotations

import pytest

from eduhub_plone.settings import PROFILES, REST, Refused, read, told_to_factory


def test_nothing_set_serves_port_8080_and_makes_no_site() -> None:
    """An empty environment is a database without a site, as with the official image."""
    settings = read({})
    assert (
        settings.port, settings.threads, settings.site, settings.zeo, settings.relstorage, settings.cors,
    ) == (8080, 3, None, {}, {}, {})  # fmt: skip
    assert settings.password_file == "/run/secrets/plone_admin_password"  # noqa: S105 - a path


@pytest.mark.parametrize(("given", "expected"), [("", "Plone"), ("campus", "campus")])
def test_site_without_a_name_is_plone(given: str, expected: str) -> None:
    """SITE counts when it is set, even to nothing."""
    site = read({"SITE": given}).site
    assert site is not None
    assert expected == site.id


@pytest.mark.parametrize("kind", ["classic", "volto"])
def test_anonymous_rest_reads_are_never_forgotten(kind: str) -> None:
    """Every site gets plone.restapi's profile, which is what lets anonymous calls read."""
    site = read({"SITE": "Plone", "TYPE": kind}).site
    assert site is not None
    assert (*PROFILES[kind], REST) == site.profiles


@pytest.mark.parametrize("given", ["a:default b:default", "a:default,b:default", " a:default  b:default a:default "])
def test_profiles_are_added_once_each_in_order(given: str) -> None:
    """6.0 of the official image separates PROFILES by spaces, 6.1 by commas: both are read."""
    site = read({"SITE": "", "TYPE": "classic", "PROFILES": given}).site
    assert site is not None
    assert site.profiles[-2:] == ("a:default", "b:default")
    assert len(set(site.profiles)) == len(site.profiles)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PROCESSES": "0"}, "PROCESSES='0' cannot be used: it must be a number from 1 to 16."),
        ({"PROCESSES": "2"}, "PROCESSES=2 needs LISTEN_SOCKET"),
        ({"PROCESSES": "2", "LISTEN_SOCKET": "/s", "ZEO_ADDRESS": "zeo:8100"}, "is for a database in files"),
        ({"ADDONS": "collective.easyform"}, "ADDONS=collective.easyform cannot be installed at start"),
        ({"DEVELOP": "src/x"}, "DEVELOP=src/x cannot be installed at start"),
        ({"SITE": "my site"}, "SITE=my site cannot be the id of a site"),
        ({"SITE": "acl_users"}, "SITE=acl_users cannot be the id of a site"),
        ({"SITE": "", "TYPE": "clasic"}, "TYPE=clasic is not known: use classic or volto."),
        ({"SITE": "", "SAMPLE_CONTENT": "course"}, "SAMPLE_CONTENT=course is not known: use courses"),
        ({"SAMPLE_CONTENT": "courses"}, "SAMPLE_CONTENT=courses needs a site to go into"),
        ({"SITE": "", "DELETE_EXISTING": "maybe"}, "DELETE_EXISTING='maybe' cannot be used: it must be on or off."),
        ({"LISTEN_PORT": "http"}, "LISTEN_PORT='http' cannot be used: it must be a number from 1 to 65535."),
        ({"LISTEN_PORT": "0"}, "LISTEN_PORT='0' cannot be used"),
        ({"WAITRESS_THREADS": "-1"}, "WAITRESS_THREADS='-1' cannot be used"),
        ({"ZODB_CACHE_SIZE": "50k"}, "ZODB_CACHE_SIZE='50k' cannot be used: it must be a number."),
        ({"ZOPE_FORM_DISK_LIMIT": "big"}, "ZOPE_FORM_DISK_LIMIT='big' cannot be used: it must be a size"),
        ({"ZEO_ADDRESS": "db:8100\n%include /etc/passwd"}, "cannot be used: it must be one line of text."),
        ({"RELSTORAGE_DSN": "host=a", "RELSTORAGE_KEEP_HISTORY": "2"}, "RELSTORAGE_KEEP_HISTORY='2' cannot be used"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(environ: dict[str, str], words: str) -> None:
    """Each mistake is refused with one sentence that names the variable and its value."""
    with pytest.raises(Refused) as refusal:
        read(environ)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_relstorage_comes_before_zeo() -> None:
    """With both set, the official image takes RelStorage."""
    settings = read({"RELSTORAGE_DSN": "host=db", "ZEO_ADDRESS": "zeo:8100"})
    assert settings.relstorage["RELSTORAGE_DSN"] == "host=db"
    assert settings.zeo == {}


def test_one_cors_variable_brings_the_official_defaults_of_the_others() -> None:
    """CORS is off until one of its variables is set."""
    cors = read({"CORS_ALLOW_ORIGIN": "https://app.example.edu"}).cors
    assert (cors["CORS_ALLOW_ORIGIN"], cors["CORS_MAX_AGE"]) == ("https://app.example.edu", "3600")


def test_the_factory_of_plone_6_1_is_told_of_content_types_and_of_no_first_page() -> None:
    """Up to 6.0 it brings both by itself; a profile that is not in the image would be refused."""
    site = read({"SITE": "", "PROFILES": "my.addon:default"}).site
    assert site
    older, newer = told_to_factory(site, (6, 0)), told_to_factory(site, (6, 1))
    assert (older["extension_ids"], older["setup_content"]) == (site.profiles, False)
    assert newer["extension_ids"][0] == "plone.app.contenttypes:default"
    assert set(older["extension_ids"]) - set(newer["extension_ids"]) == {"plone.volto:default-homepage"}
    assert "my.addon:default" in newer["extension_ids"]
    assert "setup_content" not in newer


def test_first_content_is_refused_where_plone_has_none() -> None:
    """It would be left out without a word."""
    site = read({"SITE": "", "SETUP_CONTENT": "on"}).site
    assert site
    assert told_to_factory(site, (6, 0))["setup_content"]
    with pytest.raises(Refused, match="SETUP_CONTENT is for"):
        told_to_factory(site, (6, 1))
