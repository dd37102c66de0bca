"""The verbs about images, and what is built on this machine before a verb that needs it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from front.arguments.options import Parser, request_of
from front.arguments.refusal import RefusalError
from front.images import building, kit, signing
from front.inventory.loader import Target
from front.run.exit_codes import REFUSED
from front.run.outcome import Outcome
from front.run.play import Signals
from front.verbs import checkout
from front.verbs.ending import hostless
from front.verbs.hosts import read_hosts


def about_images(options: argparse.Namespace, signals: Signals) -> int:
    """Run the program of a verb about images, with the add-ons of the inventory; return its exit code.

    Raises RefusalError where the inventory has none.
    """
    read_hosts(options)
    if not options.addons:
        raise RefusalError(
            f"The inventory {options.inventory} sets no plone_addons: name there what its Plone needs beside ours.",
        )
    return building.run(checkout.PATH, building.PROGRAMS[options.verb], options.words, options.addons, signals)


def sign_images(options: argparse.Namespace, signals: Signals) -> int:
    """Sign the images that were named, or those that hosts of the inventory need; return the exit code.

    Raises RefusalError.
    """
    hosts, _ = read_hosts(options)
    parser = Parser(prog=signing.SIGN, allow_abbrev=False)
    parser.add_argument("--names", default="")
    parser.add_argument("--sign-key", default="")
    own = parser.parse_args(options.words)
    needed = kit.tags(hosts, checkout.ladder().pythons, options.defaults)
    words = signing.asked(own.names, own.sign_key, options.sign_key, needed)
    return building.run(checkout.PATH, "builder.provenance", words, options.addons, signals)


def make_kit(options: argparse.Namespace, signals: Signals) -> int:
    """Build what the hosts of the inventory need, and write the kit; return the exit code. Raises RefusalError."""
    hosts, _ = read_hosts(options)
    parser = Parser(prog="kit", allow_abbrev=False)
    parser.add_argument("--python", default="")
    own, rest = parser.parse_known_args(options.words)
    pythons = kit.pythons(hosts, own.python, checkout.ladder().pythons, options.defaults)
    needed = kit.tags(hosts, pythons, options.defaults)
    if not building.build(checkout.PATH, needed, options.addons, signals, options.sign_key):
        return REFUSED
    words = [*kit.words(hosts, needed, options.defaults), "--inventory", str(options.path), *rest]
    return building.run(checkout.PATH, "builder.kit", words, options.addons, signals)


def built(options: argparse.Namespace, hosts: Sequence[Target], live: Outcome | None, signals: Signals) -> bool:
    """Build what the hosts need and this machine lacks; return whether it is there now. Says what to type where not."""
    asked = str(options.values.get("eduhub_python") or "")
    request = request_of(options)
    if request.verb in {"plan", "upgrade"}:
        tags = building.for_upgrade(hosts, asked, options.defaults)
    elif request.verb == "plone.upgrade":
        version = str(options.values.get("eduhub_version") or "")
        tags = building.for_plone(hosts, asked, version, options.defaults)
    else:
        tags = building.for_deploy(hosts, asked, live, options.defaults)
    if not tags or building.build(checkout.PATH, list(tags), options.addons, signals, options.sign_key):
        return True
    why = ["An image that is needed could not be built on this machine; what was printed before says why."]
    hostless(request, REFUSED, why if options.json else [], data=options.json, interrupted=signals.count > 0)
    return False


# What is done for each of the verbs that are about this machine.
BESIDE_HOSTS = {**dict.fromkeys(building.PROGRAMS, about_images), signing.SIGN: sign_images, "kit": make_kit}
