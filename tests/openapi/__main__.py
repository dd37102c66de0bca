"""`./invoke openapi`: publishes the API's OpenAPI document, unless that breaks clients of the published one."""

from __future__ import annotations

import argparse
import sys

from tests.openapi.published import PUBLISHED, BreakingError, document, publish


def main() -> int:
    """Publish the document; return 0, or 2 with nothing written when it breaks clients."""
    parser = argparse.ArgumentParser(prog="./invoke openapi", description=__doc__)
    parser.add_argument("--breaking", action="store_true", help="publish it although it breaks clients")
    options = parser.parse_args()
    try:
        changed = publish(document(), agreed=options.breaking)
    except BreakingError as error:
        sys.stderr.write(f"{error}\nNothing was written. Next: keep what clients use, or ./invoke openapi --breaking\n")
        return 2
    sys.stdout.write(f"{PUBLISHED.name} {'is published anew' if changed else 'is as published'}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
