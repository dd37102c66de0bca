"""Sample content: a site that looks like one in use. Everything but submissions' future content is public.

Paths below the site, with SAMPLE_CONTENT=courses:

- /courses                          folder of eight courses, each a folder of two to four lessons (courses.json):
  /courses/linear-algebra, /courses/linear-algebra/eigenvalues, /courses/teaching-online/recording, ...
- /courses/enrolment-is-open        a News Item
- /courses/open-day                 an Event
- /courses/media/campus.png         an Image, 960 x 540
- /courses/media/lecture.bin        a File of 24 MiB; its bytes are LECTURE below, at @@download/file
- /submissions                      folder in which any user that is logged in may add content, also by REST
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import pytz
from PIL import Image
from plone.app.textfield.value import RichTextValue
from plone.namedfile.file import NamedBlobFile, NamedBlobImage
from plone.restapi.behaviors import IBlocks
from zope.annotation.interfaces import IAnnotations

from plone import api

MARK = "eduhub.sample_content"  # on the site: what was made once and then deleted stays deleted
LECTURE_BYTES = 24 * 1024 * 1024


def ensure_sample(site: Any, name: str) -> bool:
    """Make the sample content unless it was made before; return whether it was. Commits nothing."""
    marks = IAnnotations(site)
    if marks.get(MARK) == name:
        return False
    marks[MARK] = name
    content = json.loads(Path(__file__).with_name("courses.json").read_text("utf-8"))
    courses = add(site, folder_type(site), "courses", content)
    for course in content["courses"]:
        folder = add(courses, folder_type(site), course["id"], course, subject=tuple(course["subjects"]))
        for lesson in course["lessons"]:
            add(folder, "Document", lesson["id"], lesson)
    add(courses, "News Item", content["news"]["id"], content["news"])
    event = content["event"]
    # Plone's calendar asks a time zone for its name, which the standard library's UTC does not tell.
    start, end = (pytz.utc.localize(datetime.fromisoformat(event[key])) for key in ("start", "end"))
    add(courses, "Event", event["id"], event, start=start, end=end, location=event["location"])
    media = add(courses, folder_type(site), "media", {"title": "Media"})
    image = NamedBlobImage(data=picture(), contentType="image/png", filename="campus.png")
    add(media, "Image", "campus.png", {"title": "The campus from the river"}, image=image)
    file = NamedBlobFile(data=lecture(), contentType="application/octet-stream", filename="lecture.bin")
    add(media, "File", "lecture.bin", {"title": "Recording of a lecture"}, file=file)
    submissions = add(site, folder_type(site), "submissions", content["submissions"])
    submissions.manage_setLocalRoles("AuthenticatedUsers", ["Contributor"])
    submissions.reindexObjectSecurity()
    return True


def folder_type(site: Any) -> str:
    """Return the type that holds others: on a Volto site a Document does."""
    return "Folder" if "Folder" in {fti.getId() for fti in site.allowedContentTypes()} else "Document"


def add(container: Any, kind: str, name: str, item: dict[str, Any], **fields: Any) -> Any:
    """Return new published content with the item's title, description and paragraphs."""
    fields["description"] = item.get("description", "")
    made = api.content.create(container, kind, name, item["title"], **fields)
    if item.get("text") and IBlocks(made, None) is not None:
        made.blocks, made.blocks_layout = blocks(item["text"])
    elif item.get("text"):
        html = "".join(f"<p>{escape(text)}</p>" for text in item["text"])
        made.text = RichTextValue(html, "text/html", "text/x-html-safe")
    if api.portal.get_tool("portal_workflow").getChainFor(made):
        api.content.transition(made, to_state="published")
    made.reindexObject()
    return made


def blocks(paragraphs: list[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return Volto's blocks and their layout: a title, then a text block a paragraph."""
    made: dict[str, Any] = {"title": {"@type": "title"}}
    for number, text in enumerate(paragraphs, 1):
        value = [{"type": "p", "children": [{"text": text}]}]
        made[f"text-{number}"] = {"@type": "slate", "plaintext": text, "value": value}
    return made, {"items": list(made)}


def picture() -> bytes:
    """Return a PNG: evening sky over a river."""
    shade = Image.linear_gradient("L").resize((960, 540))
    ember = shade.point(lambda level: 255 - level // 3)
    buffer = io.BytesIO()
    Image.merge("RGB", (ember, shade.point(lambda level: 90 + level // 2), shade)).save(buffer, "PNG")
    return buffer.getvalue()


def lecture() -> bytes:
    """Return the 24 MiB of lecture.bin, the same in every site."""
    return hashlib.shake_128(b"lecture.bin").digest(LECTURE_BYTES)
