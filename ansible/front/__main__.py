"""`python -m front VERB`: plays ansible/playbooks/VERB.yml on an inventory; exits with 0, 1, 2 or 3.

0 done; 1 tried, failed and reverted; 2 refused, nothing touched; 3 needs a person (front/run/exit_codes.py).
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from front.arguments.options import parsed, request_of
from front.arguments.refusal import RefusalError
from front.output import closing
from front.plans.plan import fingerprints
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED
from front.run.play import Signals
from front.verbs.ending import told
from front.verbs.hosts import PATCH, checked
from front.verbs.images import BESIDE_HOSTS, built
from front.verbs.plan import looked, take_plan
from front.verbs.play import played
from front.verbs.traffic import check_not_last, traffic


def main(words: Sequence[str]) -> int:
    """Refuse, or play the verb; return the exit code."""
    begun: list[argparse.Namespace] = []
    try:
        with Signals() as signals:
            return asked(words, signals, begun)
    except RefusalError as refusal:
        return told(words, REFUSED, refusal.messages, refusal.next_commands)
    except Exception as error:  # what nothing foresaw ends in a sentence too, and never as "reverted"
        if "--verbose" in words:
            traceback.print_exc()
        if not begun:
            return told(words, REFUSED, [closing.unforeseen(error)], [])
        return told(words, NEEDS_PERSON, [closing.ended_badly(error)], [request_of(begun[0]).status])


def asked(words: Sequence[str], signals: Signals, begun: list[argparse.Namespace]) -> int:
    """Play the verb; return the exit code. Raises RefusalError.

    `begun` gets the options as soon as hosts may be touched.
    """
    options = parsed(words)
    if options.verb in BESIDE_HOSTS:
        return BESIDE_HOSTS[options.verb](options, signals)
    reviewed = take_plan(options) if options.plan else None
    hosts = checked(options)
    begun.append(options)
    if options.verb == "drain" and not options.values.get("eduhub_yes"):
        options.serving, options.idle = check_not_last(options, hosts, signals)
    if options.verb == PATCH:
        options.serving, options.idle = traffic(options, hosts, signals)
    needs_images = options.verb in {"plan", "upgrade", "plone.upgrade"} and not options.check
    if needs_images and not built(options, hosts, None, signals):
        return REFUSED
    if options.verb == "plan" or reviewed:
        code = looked(options, hosts, reviewed, signals)
        if options.verb == "plan" or code != DONE:
            return code
    return played(options, hosts, signals, fingerprints(reviewed) if reviewed else {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
