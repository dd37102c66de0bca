"""`python -m eduhub_bridge`: ends with 0 after an orderly stop, with 2 and one sentence for a bad setting."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Serve; return the exit code."""
    # A first process has no default action for signals: without this, a stop during the imports is not heard.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from eduhub_bridge import settings  # noqa: PLC0415

    try:
        told = settings.read(os.environ)
        from eduhub_bridge.server.run import serve  # noqa: PLC0415 - a second of imports, not needed to refuse a setting

        serve(told, settings.unknown(os.environ))
    except settings.SettingsError as error:
        print(f"eduhub_bridge: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
