"""The requests that change nothing, sent by nobody, by a member and by the administrator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from tests.bridge.door import Request

HTML = {"accept": "text/html"}
# What one and the same Plone does not answer twice alike.
MADE_UP = (
    r'name="_authenticator"[^>]* value="[0-9a-f]+"', r"_authenticator=[0-9a-f]+", r'data-token="[0-9a-f]+"',
    # Plone keeps these links with the address of whoever asked first.
    r'<link rel="alternate"[^>]*>', r"@@multilingual-selector/\w+/",
)  # fmt: skip
# Zope's object cache fills and empties by itself.
_CACHE = r'"(active_objects|total_objects|total_objects_detail|cache_[a-z_]+|target_number|total|\w*size)": [^,\n}]+'
# It also opens a connection more to its database when two of its threads have work at once.
_CONNECTIONS = r'"cache_detail_length": \[[^\]]*\]'


def _get(*paths: str) -> list[Request]:
    return [Request("GET", path) for path in paths]


_TYPES = ("document", "news", "event", "link", "file", "picture", "collection", "ruled", "draft")
CONTENT = [
    *_get("", "/", "/courses", "/compat", "/compat/", "//compat", "/./compat", "/courses/linear-algebra/eigenvalues"),
    *_get(*(f"/compat/{name}" for name in _TYPES), "/compat/related", "/en/page"),
    Request("GET", "/compat/checked-out", volatile=(r'"created": "[^"]+"',)),  # the lock says it is made just now
    *_get(
        "/compat?b_size=3", "/compat?b_size=3&b_start=3", "/compat?fullobjects=1&b_size=2", "/compat?include_items=0",
        "/compat?metadata_fields=_all", "/compat?metadata_fields=UID&metadata_fields=Creator", "/compat?b_size=x",
        "/compat/document?expand=actions,breadcrumbs,navigation,workflow,types,contextnavigation,navroot,aliases",
        "/compat/document?expand=navigation&expand.navigation.depth=3", "/compat/document?expand=*",
        "/en/page?expand=translations", "/compat/collection?b_size=2", "/compat/collection?b_size=2&b_start=2",
        "/compat/revised?version=0", "/++api++/compat/document", "/compat/document/@@test", "/compat/document/title",
        "/compat/document/++add++Document", "/compat/caf%C3%A9", "/compat/a%2Fb", "/compat/a%20b", "/compat/%25",
        "/compat/document?x=%E2%82%AC&x=+&&=", "/compat/document;x=y", "/compat/document/", "/compat/~!$&'()*+,=:@",
    ),
]  # fmt: skip
SERVICES = _get(
    "/compat/document/@actions", "/@actions", "/@addons", "/@addons/plone.app.iterate", "/@addons/none", "/@aliases",
    "/@aliases?b_size=1", "/compat/shared/@aliases", "/compat/document/@breadcrumbs", "/@breadcrumbs",
    "/compat/talked-about/@comments", "/compat/document/@comments", "/compat/ruled/@content-rules",
    "/compat/document/@contextnavigation", "/@contextnavigation?expand.contextnavigation.topLevel=0",
    "/@controlpanels", *(f"/@controlpanels/{name}" for name in (
        "actions", "content-rules", "date-and-time", "dexterity-types", "dexterity-types/Document", "editing", "filter",
        "imaging", "language", "mail", "markup", "multilingual", "navigation", "none", "redirects", "search",
        "security", "site", "socialmedia", "syndication", "usergroup", "users-and-groups")),
    "/@groups", "/@groups/staff", "/@groups/none", "/@groups?query=st", "/compat/revised/@history",
    "/compat/document/@history", "/compat/revised/@history/0", "/compat/revised/@history/9", "/@linkintegrity",
    "/compat/locked/@lock", "/compat/document/@lock", "/@lock", "/@navigation",
    "/@navigation?expand.navigation.depth=3", "/compat/document/@navigation", "/@navroot",
    "/en/page/@navroot", "/@portrait", "/@portrait/member",
    "/@portrait/none", "/@principals?search=m", "/@principals", "/@querysources/none?query=x",
    "/compat/@querysources/relatedItems?query=doc", "/@querystring", "/compat/@querystring", "/@registry",
    "/@registry?b_size=5", "/@registry?q=plone.app.discussion", "/@registry/plone.site_title", "/@registry/none",
    "/@relations", "/@relations?relation=relatedItems", "/@relations?source=/compat/related",
    "/@relations?source=/none", "/@relations?query=doc&relation=relatedItems", "/@roles",
    "/compat/shared/@sharing", "/compat/draft/@sharing",
    "/@sharing", "/compat/document/@sharing?search=m", "/@site", "/compat/@sources/subjects", "/compat/@sources/none",
    "/@translation-locator?target_language=de", "/en/page/@translation-locator?target_language=de",
    "/en/page/@translations", "/compat/document/@translations", "/@types", "/@types/Document", "/@types/None",
    "/compat/@types", "/compat/@types/News%20Item", "/@types/Document/title", "/@types/Document/default",
    "/@upgrade", "/@users", "/@users/member", "/@users/admin", "/@users/none", "/@users?query=mem",
    "/@users?search=M%C3%A1rta", "/@userschema", "/@userschema/registration", "/@vocabularies",
    "/@vocabularies/plone.app.vocabularies.PortalTypes", "/@vocabularies/plone.app.vocabularies.Keywords?title=t",
    "/@vocabularies/plone.app.vocabularies.Users?b_size=1", "/@vocabularies/none",
    "/compat/@vocabularies/plone.app.vocabularies.Catalog?b_size=2", "/compat/document/@workflow",
    "/compat/draft/@workflow", "/@workflow", "/compat/checked-out/@workingcopy", "/compat/document/@workingcopy",
    "/@none", "/compat/@none", "/@login", "/@tus-upload/none",
)  # fmt: skip
_QUERY = [{"i": "portal_type", "o": "plone.app.querystring.operation.selection.any", "v": ["Document", "Link"]}]
SEARCHES = [
    *_get(
        "/@search", "/@search?SearchableText=document", "/@search?portal_type=Document&portal_type=Link&sort_on=path",
        "/compat/@search?sort_on=sortable_title&sort_order=reverse", "/@search?Subject=%C3%A9t%C3%A9",
        "/@search?Subject:list=a+b", "/@search?path.query={root}/compat&path.depth=1",
        "/compat/@search?b_size=2&b_start=2",
        "/@search?metadata_fields=_all&path={root}/compat/news", "/@search?fullobjects=1&portal_type=Event",
        "/@search?created.query=2000-01-01&created.range=min", "/@search?sort_on=none",
        "/@search?use_site_search_settings=1",
        "/@search?review_state=private", "/@search?SearchableText=%22", "/@search?SearchableText=" + "x" * 4000,
    ),
    Request("POST", "/@querystring-search", json={"query": _QUERY, "sort_on": "path", "b_size": 3}),
    Request("POST", "/compat/@querystring-search", json={"query": _QUERY, "fullobjects": True, "limit": 2}),
    Request("POST", "/@querystring-search", "no query", json={"b_size": 3}),
    Request("POST", "/@querystring-search", "no JSON", body=b"{", fields={"content-type": "application/json"}),
    *_get("/@querystring-search?query=" + quote(json.dumps({"query": _QUERY})),
          "/compat/@querystring-search?query=x"),
]  # fmt: skip


def _file(fields: dict[str, str], about: str = "") -> Request:
    return Request("GET", "/compat/file/@@download/file", about or ", ".join(fields.values()), fields=fields)


FILES = [
    *(_file({"range": f"bytes={part}"}) for part in (
        "0-99", "100-", "-100", "0-0", "99999-", "100000-", "0-9,20-29", "-0", "9-1", "x", "0-999999")),
    _file({"range": "bytes=0-9", "if-range": '"none"'}),
    _file({"range": "bytes=0-9", "if-range": "Sat, 01 Jan 2000 00:00:00 GMT"}),
    _file({"if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}),
    _file({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    *_get(
        "/compat/file/@@download", "/compat/file/@@download/file/another.pdf", "/compat/file/@@display-file/file",
        "/compat/picture/@@images/image", "/compat/picture/@@images/image/preview", "/compat/picture/@@images/none",
        "/compat/picture/@@download/image", "/compat/news/@@images/image/thumb", "/courses/media/campus.png",
        "/courses/media/campus.png/@@images/image/large", "/courses/media/campus.png/@@images/image/mini",
    ),
    Request("GET", "/courses/media/lecture.bin/@@download/file", "two megabytes inside",
            fields={"range": "bytes=5000000-6999999"}),
]  # fmt: skip
PAGES = [
    Request("GET", path, "page", fields=HTML, volatile=MADE_UP, users=(user,))
    for user, paths in {
        "anonymous": (
            "", "/", "/compat", "/compat/document", "/compat/file", "/compat/news", "/compat/draft",
            "/compat/talked-about",
            "/compat/none", "/login", "/sitemap", "/sitemap.xml.gz", "/robots.txt", "/favicon.ico", "/courses/RSS",
            "/@@search?SearchableText=compat", "/++plone++static/plone.js",
            "/++theme++barceloneta/css/barceloneta.min.css",
            "/@@ok", "/ok", "/en", "/de/seite", "/@@getVocabulary?name=plone.app.vocabularies.Keywords", "/++api++"),
        "member": ("/compat/draft", "/submissions"),
        "admin": ("/compat/document", "/compat/folder_contents", "/@@overview-controlpanel"),
    }.items()
    for path in paths
]  # fmt: skip
_PREFLIGHT = {"origin": "http://localhost:3000", "access-control-request-method": "PATCH",
              "access-control-request-headers": "content-type,authorization"}  # fmt: skip
METHODS = [
    *(Request("HEAD", path) for path in (
        "", "/compat/document", "/compat/none", "/compat/draft", "/compat/file/@@download/file", "/@search",
        "/@registry",
        "/compat/picture/@@images/image/preview")),
    Request("OPTIONS", "/compat/document"),
    Request("OPTIONS", "/compat/@tus-upload", fields={"tus-resumable": "1.0.0"}),
    Request("OPTIONS", "/compat/document", "preflight", fields=_PREFLIGHT),
    Request("OPTIONS", "/compat/document", "preflight of a stranger",
            fields={**_PREFLIGHT, "origin": "http://evil.example"}),
    Request("OPTIONS", "/@search", "preflight", fields={**_PREFLIGHT, "access-control-request-method": "GET"}),
    Request("GET", "/compat/document", "with an origin", fields={"origin": "http://localhost:3000"}),
    Request("GET", "/compat/document", "with a strange origin", fields={"origin": "http://evil.example"}),
    Request("GET", "/compat/none", "with an origin", fields={"origin": "http://localhost:3000"}),
    *(Request(method, "/compat/document") for method in ("PUT", "MKCOL", "LOCK", "TRACE")),
    # Zope tells when it last wrote an object to its database, and asking for properties can make it write one.
    Request("PROPFIND", "/compat/document", fields={"depth": "0"}, volatile=(r"lastmodified>[^<]*",)),
    Request("PROPFIND", "/compat", fields={"depth": "1"}, volatile=(r"lastmodified>[^<]*",)),
    Request("GET", "/compat/document", "any answer", fields={"accept": "*/*"}, volatile=MADE_UP, users=("anonymous",)),
    Request("GET", "/compat/document", "no accept", fields={"accept": ""}, volatile=MADE_UP, users=("anonymous",)),
    Request("GET", "/compat/document", "XML", fields={"accept": "application/xml"}, volatile=MADE_UP,
            users=("anonymous",)),
    Request("GET", "/@types", "in German", fields={"accept-language": "de"}),
    Request("GET", "/en/page/@workflow", "with a language cookie", fields={"cookie": "I18N_LANGUAGE=de"}),
    Request("GET", "/compat/document", "compressed", fields={"accept-encoding": "gzip, br"}),
    Request("GET", "/compat/document", "as from a proxy", fields={"x-forwarded-for": "192.0.2.7, 10.0.0.1"}),
    Request("GET", "/compat/document", "unknown fields",
            fields={"x-anything": "é".encode().decode("latin-1"), "te": "trailers"}),
    Request("GET", "/@@authenticated/..."),
    Request("GET", "/compat/document", "if changed since",
            fields={"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Request("GET", "/compat/document", "if none match", fields={"if-none-match": '"x", *'}),
    Request("GET", "/++theme++barceloneta/css/barceloneta.min.css", "if changed since",
            fields={"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Request("GET", "/compat/document", "a broken login", fields={"authorization": "Basic !!!"}),
    Request("GET", "/compat/document", "a wrong password", fields={"authorization": "Basic bWVtYmVyOng="}),
    Request("GET", "/compat/document", "a forged token",
            fields={"authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.x"}),
    Request("POST", "/compat", "no JSON", body=b"{", fields={"content-type": "application/json"}),
    Request("POST", "/compat", "a JSON list", json=[]),
    Request("POST", "/compat", "no type", json={"title": "x"}),
    Request("POST", "/compat", "an unknown type", json={"@type": "Nothing"}),
    Request("POST", "/compat", "a body of another kind", body=b"<x/>", fields={"content-type": "text/xml"}),
    Request("POST", "/compat/document", "into what holds nothing", json={"@type": "Document"}),
    Request("POST", "/compat", "an invalid field", json={"@type": "Event", "title": "x", "start": "never"}),
    Request("PATCH", "/compat/document", "no JSON", body=b"no", fields={"content-type": "application/json"}),
    Request("PATCH", "/compat/document", "a locked one", json={"title": 7}),
    Request("PATCH", "/compat/locked", "locked by another", json={"title": "x"}, user="member"),
    Request("PATCH", "/compat/none", json={"title": "x"}),
    Request("DELETE", "/compat/none"),
    Request("POST", "/compat/document/@workflow/none"),
    Request("POST", "/compat/@copy", json={"source": "/none"}),
    Request("POST", "/@login", "nothing", json={}),
    Request("POST", "/@login", "a wrong password", json={"login": "member", "password": "x"}),
    Request("POST", "/@login-renew", volatile=(r'"token": "[^"]*"',)),
    Request("POST", "/@logout"),
    Request("POST", "/@users", "nothing", json={}),
    Request("DELETE", "/@users/none"),
    Request("PATCH", "/@registry", "an unknown record", json={"none": 1}),
    Request("POST", "/@email-send", "nothing", json={}),
    Request("POST", "/@email-notification", "no mail host",
            json={"from": "a@campus.example", "message": "m", "name": "n", "subject": "s"}),
    Request("POST", "/compat/@tus-upload", "no length", fields={"tus-resumable": "1.0.0"}),
    Request("POST", "/@upgrade", "dry run", json={"dry_run": True}),
]  # fmt: skip
ADMINISTRATION = [
    Request("GET", "/@database", volatile=(_CONNECTIONS, _CACHE)),
    Request("GET", "/@system"),
    Request("GET", "/@transactions"),
]
TABLE = (*CONTENT, *SERVICES, *SEARCHES, *FILES, *PAGES, *METHODS, *ADMINISTRATION)


@dataclass(frozen=True, eq=False)
class Reading:
    """One of the requests, as one of the users."""

    request: Request
    user: str

    @property
    def name(self) -> str:
        """The request and who asks, in one line."""
        return f"{self.request.name} as {self.user}"


def _as(request: Request, user: str) -> Request:
    return Request(**{**vars(request), "user": user if user in ("member", "admin") else ""})


def readings() -> list[Reading]:
    """Return every request as every user; those that bring credentials of their own once."""
    return [
        Reading(_as(request, user), user)
        for request in TABLE
        for user in (("somebody",) if "authorization" in request.fields else request.users)
    ]
