"""Runs a testinfra suite inside Ansible's worker, over the connection that Ansible has to the host.

No second Ansible starts and no inventory is read again. What Ansible resolved for the host holds for the suite too:
templated addresses, jump hosts, privilege escalation and its password. library/stack_verify.py documents the arguments.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail  # type: ignore[import-untyped] # has no types
from ansible.plugins.action import ActionBase
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

sys.path.append(str(Path(__file__).resolve().parents[2]))  # where library and verify are
from library.stack_verify import ARGUMENTS
from verify.findings import Finding, Untrue

# testinfra's own plugin would open a connection of its own; the others cost time and print.
WITHOUT = (
    "testinfra", "terminal", "faulthandler", "logging", "debugging", "junitxml", "pastebin", "doctest", "unittest",
)  # fmt: skip


class Connection(BaseBackend):  # type: ignore[misc] # its base has no types
    """testinfra's commands, over the connection of a running Ansible action."""

    NAME = "ansible-action"

    def __init__(self, action: ActionBase, hostname: str) -> None:
        super().__init__(hostname)
        self._action = action
        self.lost: Exception | None = None

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command on the host. A connection that is lost is kept in `lost`, for Ansible to hear of it."""
        command = self.get_command(command, *args)
        try:
            done = self._action._low_level_execute_command(command)  # what Ansible offers action plugins
        except Exception as error:
            self.lost = error
            raise
        return self.result(done["rc"], command.encode(), done["stdout"], done["stderr"])


class Recorder:
    """A pytest plugin that gives the suite its host, and gathers the findings of its checks."""

    def __init__(self, host: Host, name: str) -> None:
        self.findings: list[dict[str, Any]] = []
        self.broken: list[str] = []
        self.checks = 0
        self._host, self._name = host, name
        self._known: list[Finding] = []

    @pytest.fixture(scope="session")
    def host(self) -> Host:
        return self._host

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        self.checks += report.when == "call"
        if report.failed and call.excinfo:
            check, error = item.name.removeprefix("test_"), call.excinfo.value
            found = error.findings if isinstance(error, Untrue) else [incomplete(check, error)]
            # What a fixture found, every check that needs it would report again.
            self.findings += [each.document(check, self._name) for each in found if each not in self._known]
            self._known += found
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(str(report.longrepr))


def incomplete(check: str, error: BaseException) -> Finding:
    """Return the finding for a check that ended with an error of its own."""
    reason = " ".join(str(error).split())[-300:]
    what = f"The check {check} was not completed: {type(error).__name__}: {reason}."
    return Finding("check_incomplete", what, ("./invoke", "verify", "--verbose"))


class ActionModule(ActionBase):  # type: ignore[misc] # its base has no types
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the number of checks and their findings. Raises AnsibleActionFail where the suite cannot run."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(ARGUMENTS)
        variables = task_vars or {}
        name = str(variables["inventory_hostname"])
        connection = Connection(self, name)
        recorder = Recorder(Host(connection), name)
        target = {"name": given["stack"], "urls": given["urls"], "python": self._python(variables)}
        # Of this worker alone. An operator has the others for suites of their own, and they can leave every check out.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            os.environ.pop(name, None)
        words = [given["suite"], "--rootdir", given["suite"], "--capture=no", "--target", json.dumps(target)]
        code = pytest.main([*words, *(word for each in WITHOUT for word in ("-p", f"no:{each}"))], [recorder])
        if connection.lost:
            raise connection.lost
        if recorder.broken or code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            reason = recorder.broken[0] if recorder.broken else f"pytest ended with {code!r}"
            raise AnsibleActionFail(f"The suite {given['suite']} could not run: {reason}")
        return {**result, "changed": False, "checks": recorder.checks, "findings": recorder.findings}

    def _python(self, variables: dict[str, Any]) -> str:
        """Return the host's Python: the one that the inventory names, else the one that Ansible found."""
        named = str(self._templar.template(variables.get("ansible_python_interpreter", "")))
        found = (variables.get("ansible_facts") or {}).get("discovered_interpreter_python")
        return named if named and not named.startswith("auto") else str(found or "python3")
