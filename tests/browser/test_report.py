"""The report in chromium, without a network: drawn, legible, in both schemes, wide and narrow; it asks for nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from front.report import page
from tests.browser import image, told

TAG = "eduhub-test/chromium:bookworm"
HARNESS = Path(__file__).with_name("harness.html")
# Neither a network nor a capability; a page that scripts could reach would show it by its title.
RUN = (
    "docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--user", "65534:65534", "--env", "HOME=/tmp", "--label", "org.eduhub.stack=eduhub-test",
)  # fmt: skip
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files",
    "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", "file:///report/harness.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the browser measured in each frame, and the lines that it wrote to its console."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(page.render(told.document()), encoding="utf-8")
    shutil.copy(HARNESS, folder)
    folder.chmod(0o755)
    image.ensure(TAG)
    mount = ("--mount", f"type=bind,source={folder},target=/report,readonly")
    done = subprocess.run([*RUN, *mount, TAG, *CHROMIUM], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    frames = json.loads(html.unescape(found[1]))
    # Chromium's own pages have a console too.
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "source: chrome://" not in line]
    return frames, lines


def test_the_console_stays_empty(seen):
    assert seen[1] == []


def test_nothing_is_asked_for_and_no_text_of_a_host_became_markup(seen):
    expected = ([], 0, "upgrade 20260101T093000Z-201b")
    assert [(each["requests"], each["scripts"], each["title"]) for each in seen[0]] == [expected] * 4


def test_every_plot_is_drawn_with_its_lines_in_every_width(seen):
    for frame in seen[0]:
        # Two hosts with weight, requests, latency and timeline each.
        assert len(frame["plots"]) == 8
        for plot in frame["plots"]:
            assert plot["paths"]
            assert min(plot["box"]) > 50
            assert all(max(path) > 0 for path in plot["paths"])


def test_texts_in_plots_are_legible_and_stay_inside(seen):
    for frame in seen[0]:
        assert [plot["outside"] for plot in frame["plots"]] == [[]] * 8
        assert min(plot["text"] for plot in frame["plots"]) >= 11


def test_plots_have_names_and_descriptions_and_tables_beside_them(seen):
    for frame in seen[0]:
        assert all(plot["named"] == [True, True] for plot in frame["plots"])
        # Hosts; then for each rollout verdicts, traffic by step, journal.
        assert frame["tables"] == 1 + 2 * 3
        assert len(frame["ids"]) == len(set(frame["ids"]))


def test_nothing_is_wider_than_the_page(seen):
    assert [each["content"] <= each["width"] for each in seen[0]] == [True] * 4


def test_both_schemes_are_readable(seen):
    ratios = {each["scheme"]: contrast(each["background"], each["ink"]) for each in seen[0]}
    backgrounds = {each["scheme"]: each["background"] for each in seen[0]}
    assert backgrounds["light"] != backgrounds["dark"]
    assert min(ratios.values()) >= 7  # WCAG 2.2, 1.4.6


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two CSS colours, as WCAG 2.2 defines it."""
    darker, lighter = sorted(luminance(each) for each in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
