"""What the suite knows of the host it looks at: the names the pilot is given too, from the environment.

`invoke verify` sets them. Everything here only reads.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host


@dataclass(frozen=True)
class Stack:
    """One host's stack, seen from that host."""

    host: Host
    name: str
    edge: str
    doors: dict[str, str]
    statistics: str

    @property
    def state(self) -> dict[str, Any]:
        """release.json as it is now."""
        return dict(json.loads(self.host.file(f"/var/lib/{self.name}/release.json").content_string))

    def record(self, release: str) -> dict[str, Any]:
        """The record of one release."""
        return dict(json.loads(self.host.file(f"/var/lib/{self.name}/releases/{release}/release.json").content_string))

    def containers(self) -> dict[str, dict[str, Any]]:
        """`docker inspect` of each container that serves, by the part it plays: edge, blue, green, plone.

        The pilot's own containers come and go beside them, and are not part of what serves.
        """
        label, form = f"label=org.eduhub.stack={self.name}", '{{.Names}} {{.Label "org.eduhub.role"}}'
        listed = self.host.check_output("docker ps --all --filter %s --format %s", label, form).splitlines()
        names = [line.split()[0] for line in listed if line.split()[-1] in SERVING]
        found = json.loads(self.host.check_output(f"docker inspect {' '.join(names)}")) if names else []
        return {each["Name"].removeprefix(f"/{self.name}-"): each for each in found}

    def answer(self, url: str, **headers: str) -> Answer:
        """What `url` answers on the host; its path is sent as it stands and no redirect is followed."""
        said = json.loads(self.host.check_output("python3 -c %s %s %s", ASK, url, json.dumps(headers)))
        return Answer(said["status"], {name.lower(): value for name, value in said["headers"]}, said["body"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is not true of the host: a line a test, in the test's own words, with its reason."""
    for report in (*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")):
        name, _, which = report.location[2].removeprefix("test_").partition("[")
        which = which.rstrip("]").partition("-")[2]
        crash = getattr(report.longrepr, "reprcrash", None)
        why = reason(crash.message if crash else report.longreprtext)
        terminalreporter.line(f"not so: {name.replace('_', ' ')}{f' ({which})' if which else ''}: {why}")


def reason(message: str) -> str:
    """Return the first line of a failure; of a command that failed on the host, the last line that it printed."""
    printed = re.search(r"""_stderr=b?(['"])(.*?)\1\)""", message, re.DOTALL)
    lines = printed[2].replace("\\n", "\n").strip().splitlines() if printed else message.splitlines()[:1]
    return (lines or ["it failed and printed nothing"])[-1].removeprefix("AssertionError: ")[:200]


SERVING = {"edge", "bridge", "plone"}

# Hosts have Python for Ansible; they need not have curl.
ASK = """
import http.client, json, sys, urllib.parse
url, headers = urllib.parse.urlsplit(sys.argv[1]), json.loads(sys.argv[2])
connection = http.client.HTTPConnection(url.netloc, timeout=20)
connection.request("GET", sys.argv[1].split(url.netloc, 1)[1], headers=headers)
answer = connection.getresponse()
body = answer.read().decode(errors="replace")
print(json.dumps({"status": answer.status, "headers": answer.getheaders(), "body": body}))
"""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@pytest.fixture(scope="module")
def stack(host: Host) -> Stack:
    said = os.environ
    return Stack(
        host=host,
        name=said["EDUHUB_STACK"],
        edge=said["EDUHUB_EDGE"],
        doors={"blue": said["EDUHUB_BLUE"], "green": said["EDUHUB_GREEN"]},
        statistics=said["EDUHUB_STATISTICS"],
    )


@pytest.fixture(scope="module")
def containers(stack: Stack) -> dict[str, dict[str, Any]]:
    return stack.containers()


@pytest.fixture(scope="module")
def live(stack: Stack) -> str:
    """The slot that answers the public address."""
    return stack.answer(f"{stack.edge}/").headers["x-eduhub-slot"]
