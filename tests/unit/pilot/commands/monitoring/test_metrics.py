"""`metrics` writes what `status` finds, for Prometheus, whole or not at all, and says so where nothing can be read."""

from __future__ import annotations

import stat

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eduhub_pilot.commands.maintenance import maintenance
from eduhub_pilot.commands.monitoring.gauges import ALL, rendered
from eduhub_pilot.commands.monitoring.metrics import metrics
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.rollout.status import status


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "collector"
    made.mkdir()
    return made


def written(directory) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the values of each metric in the one file that the collector reads, without the stack's label."""
    (file,) = directory.iterdir()
    assert file.name == "eduhub.prom"
    families = text_string_to_metric_families(file.read_text())
    return {
        family.name: [
            ({name: value for name, value in each.labels.items() if name != "stack"}, each.value)
            for each in family.samples
        ]
        for family in families
    }  # fmt: skip


def test_a_host_at_rest(live, directory):
    assert metrics(live.host, directory).code == "metrics_written"
    found, seen = written(directory), status(live.host).data["status"]
    labels = {"release": seen["release"], "python": "3.9.2", "slot": "blue"}
    assert found["eduhub_host_release_info"] == [(labels, 1)]
    assert found["eduhub_host_slot_running"] == [({"slot": "blue"}, 1), ({"slot": "green"}, 0)]
    single = {name: values[0][1] for name, values in found.items() if values[0][0] == {}}
    assert single == {
        "eduhub_host_confirmed": 1, "eduhub_host_edge_up": 1, "eduhub_host_green_weight": 0, "eduhub_host_draining": 0,
        "eduhub_host_locked": 0, "eduhub_host_lock_expired": 0, "eduhub_host_rollback_ready": 0,
        "eduhub_host_last_run_failed": 0, "eduhub_host_readable": 1,
        "eduhub_host_live_since_seconds": single["eduhub_host_live_since_seconds"],
        "eduhub_host_looked_seconds": live.clock.now().timestamp(),
    }  # fmt: skip
    assert stat.S_IMODE((directory / "eduhub.prom").stat().st_mode) == 0o644


def test_findings_have_their_codes_and_an_edge_that_is_down_is_told(live, directory):
    maintenance(live.host, "x")
    metrics(live.host, directory)
    assert written(directory)["eduhub_host_finding"] == [({"code": "maintenance"}, 1)]
    live.haproxy.kill(seconds=3600)
    metrics(live.host, directory)
    found = written(directory)
    assert found["eduhub_host_edge_up"] == [({}, 0)]
    assert "eduhub_host_green_weight" not in found


def test_what_awaits_a_confirmation_has_its_deadline(held, directory):
    metrics(held.host, directory)
    found = written(directory)
    assert found["eduhub_host_confirmed"] == [({}, 0)]
    assert found["eduhub_host_confirm_by_seconds"][0][1] > held.clock.now().timestamp()


def test_a_state_that_cannot_be_read_is_told_and_the_command_fails(live, directory):
    metrics(live.host, directory)
    (live.settings.root / "release.json").write_text("{")
    with pytest.raises(RefusedError):
        metrics(live.host, directory)
    found = written(directory)
    assert found["eduhub_host_readable"] == [({}, 0)]
    assert "eduhub_host_release_info" not in found


def test_a_directory_that_is_not_there_is_an_error_of_the_disk(live, tmp_path):
    with pytest.raises(FileNotFoundError):
        metrics(live.host, tmp_path / "missing")


def test_values_that_would_break_the_format_are_escaped(live):
    document = status(live.host).data["status"]
    document["release"] = 'a"b\\c\nd'
    text = rendered(document, {}, "eduhub", live.clock.now())
    (family,) = [each for each in text_string_to_metric_families(text) if each.name == "eduhub_host_release_info"]
    assert family.samples[0].labels["release"] == document["release"]


def test_plone_its_backup_and_its_copy(live):
    document = status(live.host).data["status"] | {
        "plone": {"version": "6.0.13", "python": "3.11.2", "state": "running", "health": "healthy",
                  "processes": {"plone": True, "plone-2": False}},
        "backup": {"recovery_point": "2026-01-01T00:00:00Z"}, "copy": {"last": {"time": "2026-01-01T00:10:00Z"}},
    }  # fmt: skip
    text = rendered(document, {"/etc/eduhub/a.pem": live.clock.now()}, "eduhub", live.clock.now())
    found = {each.name: [(sample.labels, sample.value) for sample in each.samples]
             for each in text_string_to_metric_families(text)}  # fmt: skip
    assert [value for _, value in found["eduhub_host_plone_up"]] == [1, 0]
    assert found["eduhub_host_copy_seconds"][0][1] - found["eduhub_host_backup_seconds"][0][1] == 600
    assert found["eduhub_host_certificate_end_seconds"][0][0]["file"] == "/etc/eduhub/a.pem"


def test_each_sample_has_the_labels_that_its_metric_names(live):
    document = status(live.host).data["status"]
    for metric in ALL:
        assert all(tuple(labels) == metric.labels for labels, _ in metric.values(document)), metric.name
