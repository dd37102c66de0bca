"""The fleet that the stories are about: a lab of the tests' own, and what its operator and the site's users see."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.rollout.operator import CHECKOUT, LoadGenerator, Operator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Beside the lab of somebody who practises on this machine.
LAB = {"EDUHUB_LAB": "test", "EDUHUB_LAB_PORT": "28200"}
NAME = "lab-test"
BRIDGES = ["lab1", "lab2", "lab3"]
FRONTS = ["front1", "front2"]
# What is asked is what becomes of the hosts, not how well a slow release is told from noise.
SETTINGS = {"pilot_gate_performance": "off", "pilot_watch_seconds": 2, "rollout_soak_seconds": 3}
ANSIBLE_SECONDS = 600


def lab(*words: str) -> None:
    """Type `./invoke lab.WORDS` about the lab of the tests; fails where that does."""
    subprocess.run([str(CHECKOUT / "invoke"), *words], env={**os.environ, **LAB}, check=True, timeout=900,
                   stdin=subprocess.DEVNULL)  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """Its operator, and the address that the front hosts share."""

    operator: Operator
    url: str

    @classmethod
    def of(cls, folder: Path) -> Fleet:
        """Return the lab's fleet, with an inventory in `folder` that also has the stories' settings."""
        operator = Operator(CHECKOUT / "inventories" / NAME).with_variables(folder, **SETTINGS)
        shared = yaml.safe_load((folder / "hosts.yml").read_text())["all"]["vars"]["edge_hosts"][0]
        return cls(operator, f"http://{shared}")

    def answers(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Type `./invoke words --json`; return the exit code and the document."""
        command = self.operator.command(*words, "--json")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=ANSIBLE_SECONDS, check=False)  # fmt: skip
        print(f"$ ./invoke {' '.join(words)}\n{done.stderr}{done.stdout}[exit {done.returncode}]")
        return done.returncode, json.loads(done.stdout)

    def status(self) -> dict[str, Any]:
        """Return the status object of each host; fails where a host did not give one."""
        code, document = self.answers("status")
        assert code == 0
        return dict(document["hosts"])

    def active(self) -> str:
        """Return the front host that has the site's address."""
        (name,) = [name for name in FRONTS if self.status()[name]["front"]["active"]]
        return name

    @contextmanager
    def under_load(self, folder: Path) -> Iterator[LoadGenerator]:
        """Put load on the shared address while the block lasts, and begin once it runs."""
        options = ["--anywhere", "--rate", "20", "--page-rate", "1"]
        with LoadGenerator.running(folder, 1200, *options, url=self.url, warm=True) as load:
            yield load


def pythons(status: Mapping[str, Any]) -> list[str]:
    """Return the Python of each bridge host, as "3.11"."""
    return [status[name]["python"].rpartition(".")[0] for name in BRIDGES]


def at_rest(status: Mapping[str, Any]) -> bool:
    """Whether no run is under way on any bridge host."""
    return all(status[name]["confirmed"] and not status[name]["lock"] and not status[name]["rollout"]
               for name in BRIDGES)  # fmt: skip


def machine(name: str) -> str:
    """Return the container that is the host `name`."""
    return f"eduhub-{NAME}-{name}"
