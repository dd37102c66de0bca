"""How messages read: what happened, with the value, and why; commands are in `next`, never in the message."""

from __future__ import annotations

from eduhub_pilot.commands.preflight import preflight
from eduhub_pilot.rollout.messages import moved, serving
from eduhub_pilot.rollout.status import status


def test_the_live_release_is_named_with_its_slot(live):
    release = live.store.state().live.release
    assert serving(live.store.state()) == f"Live release: {release} (blue)."


def test_a_held_shift_names_the_candidate_and_the_deadline(held):
    rollout = held.store.state().rollout
    assert moved(rollout).message == (
        f"All traffic is on {rollout.release} (green), unconfirmed. The previous slot was drained in 0.0 s. It is "
        "reverted unless it is confirmed within 60 s."
    )


def test_no_message_holds_a_command_line(held):
    outcomes = [status(held.host), preflight(held.host, "next", "upgrade"), moved(held.store.state().rollout)]
    messages = [outcome.message for outcome in outcomes]
    messages += [finding.message for outcome in outcomes for finding in outcome.findings]
    assert [message for message in messages if "`" in message or "./invoke" in message] == []
