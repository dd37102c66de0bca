"""`python -m settings`: make every file that comes from the description of the settings, and name what changed."""

from __future__ import annotations

import sys
from pathlib import Path

from settings.described import DescriptionError, described, groups
from settings.made import made


def main(checkout: Path) -> int:
    """Write what is stale; return 0, or 2 for a description that is incomplete."""
    try:
        texts = made(checkout, described(), groups())
    except DescriptionError as error:
        print(error, file=sys.stderr)
        return 2
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(checkout))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
