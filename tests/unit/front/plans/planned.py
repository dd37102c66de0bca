"""Plans of three hosts that would be upgraded, for the tests of plans and of what is done with them."""

from __future__ import annotations

from typing import Any

from front.arguments.request import Request
from front.fleet.waves import Policy
from front.plans.plan import plan_of
from front.run.messages import Message
from front.run.outcome import Host, Outcome

NAMES = ["b1", "b2", "b3"]
REQUEST = Request("plan", "campus", "", {"eduhub_python": "3.13"})
POLICY = Policy(waves=["1", "100%"], soak_seconds=60.0, max_unavailable="1")
ANSWER = {
    "changes": True,
    "from": {"release": "20260101T000000Z-py3.9-aaaaaaaa", "python": "3.9.2", "image": "x:3.9", "image_id": "sha256:1"},
    "to": {"release": None, "python": "3.13.5", "image": "x:3.13", "image_id": "sha256:2"},
    "changed": ["Python 3.9.2 → 3.13.5", "image x:3.9 → x:3.13"],
    "images": {"x:3.13": "sha256:2", "edge:1": "sha256:3"}, "sends": ["x:3.13"], "send_bytes": 36_200_000,
    "gates": {"smoke": "enforce", "runtime": "enforce", "performance": "off"},
    "seconds": 90.0, "measured": 2, "interrupted": None, "settings": "5e7", "fingerprint": "f1",
}  # fmt: skip
SERVED = {**ANSWER, "changes": False, "to": ANSWER["from"], "changed": [], "sends": [], "send_bytes": 0}
FULL = Message("disk_short", "No disk is left.", (("df", "-h"),))


def looked(answer: dict[str, Any], *messages: Message) -> Host:
    failed = "preflight" if messages else None
    exits = {"preflight": 2 if messages else 0, "plan": 0}
    return Host(phases=["preflight", "plan"], failed=failed, exits=exits, messages=messages, plan=answer)


def planned(request: Request = REQUEST, policy: Policy = POLICY, **hosts: Host) -> dict[str, Any]:
    """The plan of three hosts that would be upgraded, but for those given."""
    found = {name: looked(ANSWER) for name in NAMES} | hosts
    return plan_of(request, list(found), Outcome(found, ended=True), policy, "2026-11-29T19:00:00Z")
