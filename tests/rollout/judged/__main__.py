"""Roll the same release out again and again, then one that answers a fifth later.

`PYTHONPATH=images python -m tests.rollout.judged`, on a stack that is deployed (by
`./invoke deploy --inventory tests/rollout/inventory`; EDUHUB_TEST_INVENTORY names another inventory), whose bridge is
ours. Each upgrade goes the whole way, by the verb that operators type; half a minute each. Exit code 0; 1 for a verdict
that must not be; 2 where there is nothing deployed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from tests.rollout.judged.verdicts import SLOWER, Judged, delay_ms, judged, summary, wrong
from tests.rollout.operator import Operator, journal

HERE = Path(__file__).parent
IN_IMAGE = "/opt/eduhub/app:/opt/eduhub/lib"
# Only the gate is in question: everything else of an upgrade is as short as it can be.
SHORT = {
    "pilot_gate_performance": "enforce", "pilot_performance_seconds": 60, "pilot_gate_runtime": "off",
    "pilot_gate_contract": "off", "pilot_shift_steps": [100], "pilot_watch_seconds": 0, "pilot_rehearse": False,
}  # fmt: skip
SLOW = {
    "bridge_mounts": [{"type": "bind", "source": str(HERE / "slow"), "target": "/opt/slow", "read_only": True}],
}


def upgraded(operator: Operator, folder: Path, number: int, slower: float, milliseconds: float) -> Judged:
    """Upgrade to a release of blue's own image that is new by a variable, and slow by `milliseconds`."""
    environment = {"RUN": str(number)}
    if slower:
        environment |= {"PYTHONPATH": f"/opt/slow:{IN_IMAGE}", "SLOW_MS": f"{milliseconds:.3f}"}
    more = {**SHORT, **(SLOW if slower else {}), "bridge_environment": environment}
    seen, python = len(journal()), ".".join(operator.status()["python"].split(".")[:2])
    with (folder / "output").open("a") as output, redirect_stdout(output):
        operator.with_variables(folder / str(number), **more).types("upgrade", "--python", python)
    return judged(slower, journal()[seen:])


def serves(operator: Operator) -> bool:
    try:
        return bool(operator.status()["live"])
    except subprocess.CalledProcessError:
        return False


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.rollout.judged", description=__doc__, allow_abbrev=False)
    parser.add_argument("--same", type=int, default=50, help="upgrades to the same release")
    parser.add_argument("--slower", type=int, default=20, help="upgrades to one that answers a fifth later")
    parser.add_argument("--record", type=Path, help="append a JSON line for each upgrade to this file")
    given = parser.parse_args(words)
    operator, found = Operator(), []
    if given.same < 1 or not serves(operator):
        print("Deploy a stack first, and let --same be 1 or more: what is slower is so beside something.",
              file=sys.stderr)  # fmt: skip
        return 2
    kinds = [0.0] * given.same + [SLOWER] * given.slower
    with tempfile.TemporaryDirectory() as folder:
        for number, slower in enumerate(kinds, 1):
            each = upgraded(operator, Path(folder), number, slower, delay_ms(found) if slower else 0)
            found.append(each)
            print(f"{number}/{len(kinds)} {'slower' if slower else 'same'}: {each.verdict} in {each.seconds:.0f} s. "
                  f"{each.reason}", flush=True)  # fmt: skip
            if given.record:
                with given.record.open("a") as record:
                    record.write(json.dumps(each.document()) + "\n")
    print(*summary(found), sep="\n")
    for each in (bad := wrong(found)):
        print(f"Must not be: {each.verdict} of a green that is {100 * each.slower:.0f}% slower. {each.reason}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
