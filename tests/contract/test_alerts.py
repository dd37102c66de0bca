"""The alerting rules ask only for metrics, labels and codes that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from eduhub_pilot.commands.monitoring.gauges import ALL
from eduhub_pilot.model.codes import CODES
from tests.unit.bridge.metrics_page import instruments

ROOT = Path(__file__).parents[2]
GROUPS = yaml.safe_load((ROOT / "docs/monitoring/alerts.yml").read_text())["groups"]
RUNBOOK = (ROOT / "docs/runbooks/monitor.md").read_text()
RULES = [rule for group in GROUPS for rule in group["rules"]]
# What each metric has beside the labels that Prometheus gives it. The file that the host writes names the stack.
LABELS = {metric.name: {"stack", *metric.labels} for metric in ALL}
LABELS |= {f"{each._name}_total" if type(each).__name__ == "Counter" else each._name: set(each._labelnames)
           for each in instruments()}  # fmt: skip
LABELS |= {f"{each._name}_count": set(each._labelnames) for each in instruments() if type(each).__name__ == "Histogram"}
OF_PROMETHEUS = {"instance", "job"}


def asked(rule: dict) -> set[str]:
    return set(re.findall(r"eduhub_\w+", rule["expr"]))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule):
    names = asked(rule)
    assert names
    assert names <= set(LABELS)
    known = set.union(*(LABELS[name] for name in names))
    assert set(re.findall(r"(\w+)[=!]~?\"", rule["expr"])) <= known
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known | OF_PROMETHEUS
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_codes_that_rules_name_are_findings():
    words = [word for rule in RULES for word in re.findall(r'code[=!]~?"([^"]+)"', rule["expr"])]
    named = {code for each in words for code in each.split("|")}
    assert named
    assert named <= set(CODES)


def test_each_alert_has_a_row_that_says_what_to_look_at_and_what_to_type():
    lines = [line for line in RUNBOOK.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    told = {cells[0].strip("`"): cells for cells in rows if cells[0].startswith("`EduHub")}
    assert sorted(told) == sorted(rule["alert"] for rule in RULES)
    assert [name for name, cells in told.items() if len(cells) != 4 or not all(cells)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_row(rule):
    name, _, anchor = rule["annotations"]["runbook"].partition("#")
    heading = anchor.replace("-", " ").capitalize()
    assert (name, f"\n## {heading}\n" in RUNBOOK) == ("docs/runbooks/monitor.md", True)


def test_each_alert_has_a_name_of_its_own():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
