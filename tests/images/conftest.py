"""`outside` looks at containers that molecule's scenario `images` has started, so it is collected only there."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("MOLECULE_SCENARIO_NAME") == "images" else ["outside"]
