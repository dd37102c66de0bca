"""From what the engine says while it builds come the image, the leftovers, and a reason in one sentence."""

from __future__ import annotations

import pytest

from builder import Refusal
from builder.buildlog import BuildLog

FIRST_STAGE = [
    {"stream": "Step 1/4 : FROM eduhub/base:bookworm AS build\n"},
    {"stream": " ---> 111111111111\n"},
    {"stream": 'Step 2/4 : RUN ["python3", "/build/install.py"]\n'},
]
DONE = [
    {"stream": " ---> 222222222222\n"},
    {"stream": "Step 3/4 : FROM eduhub/base:bookworm\n"},
    {"stream": " ---> 111111111111\n"},
    {"stream": "Step 4/4 : COPY --from=build /opt /opt\n"},
    {"stream": " ---> 333333333333\n"},
    {"aux": {"ID": "sha256:3333"}},
    {"stream": "Successfully built 333333333333\n"},
]


def test_the_image_is_returned_and_its_first_stage_is_left_over() -> None:
    """The first stage holds wheels and pip; the engine would keep it for ever."""
    steps: list[str] = []
    log = BuildLog(steps.append)
    assert log.follow([*FIRST_STAGE, *DONE]) == "sha256:3333"
    assert log.leftovers == ["222222222222"]
    assert steps[-1] == "Step 4/4 : COPY --from=build /opt /opt"


def test_a_failed_build_leaves_over_what_it_had() -> None:
    """And says why with the engine's reason and the step's own last line, without the engine's paint."""
    log = BuildLog()
    said = [{"stream": "\x1b[91mERROR: no matching wheel\x1b[0m\n"}, {"stream": "Removing intermediate container 4\n"}]
    with pytest.raises(Refusal) as refusal:
        log.follow([*FIRST_STAGE, *said, {"error": "The command 'python3' returned a non-zero code: 1"}])
    assert str(refusal.value) == (
        "The engine could not build it: The command 'python3' returned a non-zero code: 1 (ERROR: no matching wheel)."
    )
    assert log.leftovers == ["111111111111"]


def test_a_full_disk_is_called_that() -> None:
    """The operator learns what to look at, not which layer failed."""
    with pytest.raises(Refusal, match=r"^The disk is full: .*docker system df"):
        BuildLog().follow([{"error": "write /var/lib/docker/tmp/x: no space left on device"}])
