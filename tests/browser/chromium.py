"""What chromium makes of a page, without a network: measured in frames of several widths and schemes."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.browser import image

TAG = "eduhub-test/chromium:bookworm"
HARNESS = Path(__file__).with_name("harness.html")
# Neither a network nor a capability; a page that scripts could reach would show it by its title.
RUN = (
    "docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--user", "65534:65534", "--env", "HOME=/tmp", "--label", "org.eduhub.stack=eduhub-test",
)  # fmt: skip
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files",
    "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", "file:///pages/harness.html",
)  # fmt: skip


def look(folder: Path, page: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what the browser measured in each frame, and the lines that it wrote to its console."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    shutil.copy(HARNESS, folder)
    folder.chmod(0o755)
    image.ensure(TAG)
    mount = ("--mount", f"type=bind,source={folder},target=/pages,readonly")
    done = subprocess.run([*RUN, *mount, TAG, *CHROMIUM], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    frames = json.loads(html.unescape(found[1]))
    # Chromium's own pages have a console too.
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "source: chrome://" not in line]
    return frames, lines


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two CSS colours, as WCAG 2.2 defines it."""
    darker, lighter = sorted(luminance(each) for each in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
