"""The codes of the pilot's answers and findings: the one table from a code to its exit code and its meaning.

Exit 0: done; 1: failed and reverted, the previous release is live; 2: refused, nothing was changed; 3: a person has to
decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Exit = Literal[0, 1, 2, 3]
# A failure of the host's own services: its exit code says how far the phase had come.
BY_PHASE: Mapping[str, Exit] = {
    "prove": 1, "shift": 1, "await": 1, "confirm": 1, "hold": 3, "revert": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Code:
    """`exit` is an exit code, `phase` where BY_PHASE decides (2 in every other phase), `finding` for findings alone."""

    exit: Exit | Literal["phase", "finding"]
    meaning: str


CODES: Mapping[str, Code] = {
    # Done
    "already_confirmed": Code(0, "The run had confirmed its release before."),
    "already_initialized": Code(0, "All state files exist."),
    "awaiting_confirmation": Code(0, "All traffic is on the candidate; a person confirms it before the deadline."),
    "backup_recent": Code(0, "The last proven backup of Plone's data is new enough, so none was made."),
    "backup_proven": Code(0, "A backup of Plone's data was restored to scratch, and is what its manifest says."),
    "backups_listed": Code(0, "The backups of Plone's data on this host."),
    "begun": Code(0, "The run holds the lock, and its release is recorded."),
    "candidate_named": Code(0, "The image that a deployment or an upgrade would start."),
    "certificates_replaced": Code(0, "The edge serves renewed certificates."),
    "certificates_unchanged": Code(0, "The edge serves the certificates on the disk."),
    "confirmed": Code(0, "The candidate is the live release."),
    "drain_planned": Code(0, "A check: a drain would change nothing, or mark the host."),
    "drained": Code(0, "The host tells its balancer to go elsewhere, and gets no more requests."),
    "initialized": Code(0, "Missing state files were created."),
    "interrupted_run_undone": Code(0, "The rollback only had to undo an interrupted run."),
    "maintenance_off": Code(0, "The edge takes writes."),
    "maintenance_on": Code(0, "The edge answers writes with 503; reads go on."),
    "no_rollout_recorded": Code(0, "The journal holds no rollout to report."),
    "no_waiver": Code(0, "The rollback has no waiver: the slot must be ready."),
    "nothing_to_change": Code(0, "The requested release is live already."),
    "pages_rendered": Code(0, "Plone's image rendered pages of a backup, to be compared with another's."),
    "patch_admitted": Code(0, "No run has the host: its packages may be updated."),
    "patch_ended": Code(0, "The packages of the host were not, or not all, updated; other runs may begin."),
    "patched": Code(0, "The host serves after its packages were updated, with the versions in the journal."),
    "plone_confirmed": Code(0, "Another version of Plone takes writes; only a backup returns from it."),
    "plone_handed_over": Code(0, "Plone runs in a new container, and requests waited for it."),
    "plone_packed": Code(0, "Plone's database was packed while Plone served."),
    "plone_rehearsed": Code(0, "A backup was migrated to another version of Plone in scratch, and answers as before."),
    "plone_rolled_back": Code(0, "Plone runs in its previous container, and requests waited for it."),
    "plone_unchanged": Code(0, "No standby of Plone was to take over."),
    "plone_upgraded": Code(0, "Another version of Plone serves, read-only until a person confirms it."),
    "plone_upgrade_stepped": Code(0, "A step of an upgrade to another version of Plone was taken."),
    "preflight_passed": Code(0, "Preflight has no finding."),
    "proven": Code(0, "The candidate is ready and passed its gates."),
    "release_planned": Code(0, "A deployment or an upgrade would roll out a new release."),
    "releases_listed": Code(0, "The releases that this host keeps."),
    "report_made": Code(0, "The report of the last rollout."),
    "request_traced": Code(0, "What the logs of this host say of one request."),
    "restore_planned": Code(0, "A backup can be restored in place of Plone's data."),
    "restore_stepped": Code(0, "A step of a restore in place of Plone's data was taken."),
    "restored": Code(0, "Plone serves the data of a backup."),
    "resumed": Code(0, "The run continues an interrupted run."),
    "revert_refused_confirmed": Code(0, "The run to undo is confirmed, so it was not undone."),
    "self_test_passed": Code(0, "Every gate stopped its known-bad candidates and passed its good one."),
    "shifted": Code(0, "All traffic is on the candidate, unconfirmed."),
    "status_reported": Code(0, "The status of the host."),
    "undrained": Code(0, "The host tells its balancer to come."),
    "undrain_planned": Code(0, "A check: the host serves, and would tell its balancer to come."),
    "waived": Code(0, "The rollback need not reach readiness, for the stated reason."),
    # Failed; the previous release is live, or will be once the run is reverted
    "already_reverted": Code(1, "The run was reverted before."),
    "backup_damaged": Code(1, "A backup of Plone's data is not what its manifest says."),
    "backup_failed": Code(1, "A backup of Plone's data could not be made; the site is untouched."),
    "candidate_not_running": Code(1, "The candidate's container does not run."),
    "canary_failed": Code(1, "The candidate failed the analysis of a canary step."),
    "confirmation_expired": Code(1, "The candidate was not confirmed before the deadline."),
    "container_lost": Code(1, "The candidate's container exited, was paused or was removed during the shift."),
    "drain_incomplete": Code(1, "Connections are left after the drain timeout, and cutting them is forbidden."),
    "gate_error": Code(1, "A gate could not be evaluated, twice."),
    "gate_failed": Code(1, "A gate failed."),
    "haproxy_lost": Code(1, "HAProxy did not come back during the shift."),
    "haproxy_restarted": Code(1, "HAProxy was restarted during the shift and returned to the live release."),
    "hold_over": Code(1, "The run no longer awaits a confirmation."),
    "lock_removed": Code(1, "The run's lock was removed while its traffic was on the candidate."),
    "no_finished_shift": Code(1, "The run has no finished shift to confirm."),
    "not_begun": Code(1, "The run has no rollout to prove."),
    "not_proven": Code(1, "The run has no proven candidate to shift traffic to."),
    "nothing_to_revert": Code(1, "The run had changed nothing; its lock is released."),
    "pack_failed": Code(1, "Plone's database could not be packed; Plone serves as before."),
    "plone_hand_over_reverted": Code(1, "A standby of Plone did not serve; the container from before does."),
    "plone_migration_failed": Code(1, "Plone's content cannot be migrated to another version."),
    "plone_standby_failed": Code(1, "A standby of Plone did not start; Plone serves as before."),
    "plone_upgrade_failed": Code(1, "Another version of Plone did not take over; the one before takes writes."),
    "public_check_failed": Code(1, "The public address was not answered by the candidate."),
    "rehearsal_failed": Code(1, "The rehearsal of the rollback failed."),
    "restore_reverted": Code(1, "A restore failed; Plone serves the data from before it."),
    "reverted": Code(1, "The run was undone; the previous release is live."),
    "run_superseded": Code(1, "Another run reverted this run or took its lock."),
    "self_test_failed": Code(1, "A gate passed a known-bad candidate, or stopped a good one."),
    "shift_container_lost": Code(1, "The shift's container ended before its run."),
    "shift_timeout": Code(1, "The shift exceeded its deadline."),
    "slot_errors": Code(1, "The candidate answered with more errors than its limits allow."),
    "slot_not_ready": Code(1, "The candidate's slot did not become ready before its deadline."),
    "slot_silent": Code(1, "The candidate stopped answering requests."),
    "stopped": Code(1, "The pilot received SIGTERM or SIGINT."),
    "traffic_mismatch": Code(1, "The traffic weight is not what the shift set."),
    "traffic_unknown": Code(1, "HAProxy did not say which slot has the traffic."),
    # Refused; nothing was changed
    "backup_directory_unusable": Code(2, "Plone's user cannot write into the directory of backups."),
    "backup_foreign": Code(2, "The directory of backups holds those of another site."),
    "backup_not_fresh": Code(2, "No proven backup holds Plone's data as it is now, which a restore would replace."),
    "backup_not_proven": Code(2, "The backup to restore has not been proven by a restore to scratch."),
    "backup_space_short": Code(2, "Too little space is free for a backup, a restore or a pack."),
    "backup_version_differs": Code(2, "The backup is of another version of Plone than the one that runs."),
    "backup_unknown": Code(2, "There is no backup from the requested time."),
    "certificate_unreadable": Code(2, "A TLS certificate of the edge cannot be read."),
    "credentials_unreadable": Code(2, "A credentials file of the contract gate cannot be used."),
    "hand_over_interrupted": Code(2, "A takeover of Plone by a new container was interrupted."),
    "host_busy": Code(2, "Another pilot is writing the state of this host."),
    "image_gone": Code(2, "The image of the rollback target is no longer on the host."),
    "image_missing": Code(2, "The image is not on the host."),
    "image_not_accepted": Code(2, "The image to start is not the one whose signature was checked."),
    "image_python_mismatch": Code(2, "The image contains another Python version than requested."),
    "input_invalid": Code(2, "Standard input is not the document that the pilot expects."),
    "lock_held": Code(2, "Another run holds the lock."),
    "lock_taken": Code(2, "Another run took the lock at the same moment."),
    "lock_unreadable": Code(2, "lock.json cannot be read."),
    "maintenance_unknown": Code(2, "Maintenance was to be neither on nor off."),
    "not_serving": Code(2, "The public address of the host is not answered well, so it stays drained."),
    "no_rollback_target": Code(2, "The host has no last known-good release to roll back to."),
    "not_awaiting_confirmation": Code(2, "No run awaits a confirmation."),
    "not_lock_holder": Code(2, "The run does not hold the lock."),
    "nothing_deployed": Code(2, "No release is live on this host."),
    "pack_unsupported": Code(2, "Plone runs as one process, which cannot pack while it serves."),
    "plan_outdated": Code(2, "The host, its settings or its image changed since the plan was made."),
    "plone_absent": Code(2, "There is no Plone of ours on this host."),
    "plone_database_unsupported": Code(2, "Plone's database is not in files."),
    "plone_runs": Code(2, "Plone has its database open."),
    "preflight_failed": Code(2, "Preflight has findings."),
    "python_not_selectable": Code(2, "--python was given for an image without a Python of its own choice."),
    "record_changed": Code(2, "The record of a release was changed after it was written."),
    "plone_endpoint_old": Code(2, "Plone's endpoint is of an earlier release, and cannot refuse writes."),
    "plone_nothing_to_confirm": Code(2, "No upgrade of Plone's version waits for its confirmation."),
    "plone_rollback_blocked": Code(2, "Plone has no previous container that it can be rolled back to."),
    "plone_upgrade_unconfirmed": Code(2, "An upgrade of Plone's version is neither confirmed nor rolled back."),
    "plone_written_meanwhile": Code(2, "Plone's database was written while its upgrade was prepared."),
    "record_missing": Code(2, "The record of a release is missing."),
    "record_unreadable": Code(2, "The record of a release cannot be read."),
    "release_unknown": Code(2, "The requested release is not kept on this host."),
    "restore_interrupted": Code(2, "A restore in place of Plone's data was interrupted and has to be ended first."),
    "restore_target_unknown": Code(2, "A restore was to go neither to scratch nor live."),
    "resume_target_differs": Code(2, "--resume was given with another target than the interrupted run has."),
    "run_unknown": Code(2, "The run to undo is not known on this host."),
    "setting_invalid": Code(2, "A setting has an invalid value."),
    "settings_unreadable": Code(2, "The settings that a run began with cannot be read."),
    "specification_invalid": Code(2, "The specification of the release is invalid."),
    "specification_missing": Code(2, "The specification of the release is missing on standard input."),
    "state_newer": Code(2, "A state file was written by a newer pilot."),
    "state_unreadable": Code(2, "release.json cannot be read."),
    "traffic_map_unreadable": Code(2, "traffic.map cannot be read."),
    # A person has to decide
    "drain_unfinished": Code(3, "The host tells its balancer to go elsewhere, and still has requests."),
    "container_not_removed": Code(3, "The candidate has no traffic, but its container could not be removed."),
    "gate_inconclusive": Code(3, "A gate could not decide; the candidate stays up without traffic."),
    "patch_not_serving": Code(3, "The host does not serve as it did before its packages were updated."),
    "plone_writes_refused": Code(3, "An upgrade of Plone failed, and writes could not be taken again."),
    "plone_stuck": Code(3, "Neither a standby of Plone nor the container from before serves."),
    "restore_stuck": Code(3, "A restore failed, and Plone does not serve the data from before it."),
    "traffic_not_restored": Code(3, "HAProxy runs but does not accept the move back to the live release."),
    # The host's own services
    "disk_error": Code("phase", "A file of the pilot could not be read or written."),
    "engine_down": Code("phase", "The Docker Engine did not answer or refused a request."),
    "haproxy_down": Code("phase", "HAProxy's admin socket did not answer."),
    # Findings
    "backup_old": Code("finding", "Plone has no proven backup that is as new as an upgrade wants it."),
    "certificate_ends": Code("finding", "A TLS certificate that the edge serves ends within 30 days, or has ended."),
    "draining": Code("finding", "The host tells its balancer to go elsewhere, as an operator asked."),
    "edge_configuration_edited": Code("finding", "haproxy.cfg is not the one that the last deployment wrote."),
    "gate_missing_candidate": Code("finding", "The self-test has no known-bad candidate for a gate."),
    "gate_wrong_verdict": Code("finding", "A gate gave a wrong verdict in the self-test."),
    "last_backup_failed": Code("finding", "The last backup of Plone's data failed."),
    "live_container_down": Code("finding", "The container of the live slot does not run."),
    "live_record_unreadable": Code("finding", "The record of the live release is missing or cannot be read."),
    "live_release_differs": Code("finding", "The live slot runs another release than release.json names."),
    "live_unhealthy": Code("finding", "The live slot fails its health check."),
    "maintenance": Code("finding", "The edge answers writes with 503, as an operator asked."),
    "memory_short": Code("finding", "The host has too little free memory for a second slot."),
    "plone_container_down": Code("finding", "Plone's container does not run or is unhealthy."),
    "plone_endpoint_down": Code("finding", "The container before our Plone does not run, so nothing reaches Plone."),
    "plone_process_silent": Code("finding", "A process of our Plone does not answer; the others do."),
    "plone_endpoint_differs": Code("finding", "The container before our Plone runs another image than the edge."),
    "run_interrupted": Code("finding", "A run was interrupted."),
    "traffic_map_mismatch": Code("finding", "traffic.map does not name the live slot."),
    "traffic_uncommitted": Code("finding", "Traffic is on a slot that no run has committed."),
    "unconfirmed": Code("finding", "The candidate has traffic and is not confirmed."),
    "unmonitored": Code("finding", "The candidate has traffic, and no shift monitors it."),
}


def exit_of(code: str, phase: str) -> int:
    """Return the exit code of an answer with `code` in `phase`; KeyError for an unknown code."""
    known = CODES[code].exit
    if known == "finding":
        raise KeyError(code)
    return BY_PHASE.get(phase, 2) if known == "phase" else known
