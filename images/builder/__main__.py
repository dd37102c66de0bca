"""The command line: `python -m builder [NAME...]`. Exit code 0, or 2 with one sentence on stderr."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from builder import HERE, Refusal, addons, cache, report, security
from builder.build import Builder
from builder.catalogue import Image, choose, demand_locks, listed, load, tagged, with_addons
from builder.engine import Engine
from builder.kit.unpacked import Kit

DOES = "Build the images, hermetically, on the Docker Engine."


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise Refusal with argparse's reason."""
        raise Refusal(f"{message}; --help names the options.")


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line as values; raise Refusal where it makes no sense."""
    parser = Parser(prog="builder", description=DOES, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bridge, bridge:py3.11, ...; without it all")
    parser.add_argument("--python", help="only the images of this Python, as 3.11")
    parser.add_argument("--version", help="only the images of this version, as 6.1.4")
    parser.add_argument(
        "--tags", action="store_true", help="each NAME is a tag, as eduhub/bridge:py3.11; those of others are left out"
    )
    parser.add_argument("--addons", default="[]", help="add-ons of Plone, as a JSON list: images with them, too")
    parser.add_argument("--base", help="build on this image instead of our own root file system")
    parser.add_argument(
        "--missing", action="store_true", help="leave images alone that have not changed, and on their base"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="as --missing, and make images anew that lack security updates of Debian"
    )
    parser.add_argument("--no-cache", action="store_true", help="make root file systems and layers anew")
    parser.add_argument("--sign-key", type=Path, help="ssh key that signs a statement about each image that is built")
    parser.add_argument("--json", action="store_true", help="a JSON document on stdout instead of the table")
    return parser.parse_args(words)


def on_given_base(images: Sequence[Image], chosen: Sequence[Image], named: bool, base: str, python: str) -> list[Image]:
    """Return those of `chosen` that can be built on the image `base`, whose Python is `python` ("3.11").

    Raise Refusal where an image that was asked for by name cannot, or where none is left.
    """
    fit = [image for image in chosen if image.base and image.python == python]
    misfits = [image for image in chosen if image.name not in {other.name for other in fit}]
    if named and misfits:
        own = "it has a root file system of its own"
        why = own if misfits[0].base is None else f"that has Python {python}, and {misfits[0].short} is for another"
        raise Refusal(f"{misfits[0].name} cannot be built on {base}: {why}.")
    if not fit:
        offered = listed(image.python for image in images if image.base and image.python)
        raise Refusal(f"No image asked for is built for Python {python}, which {base} has; there are {offered}.")
    return fit


def disk(error: OSError) -> str:
    """Return the sentence for a file system that does not let us write or read."""
    if error.errno == errno.ENOSPC:
        return "The disk is full: free some space, or keep the cache elsewhere with XDG_CACHE_HOME=..., and try again."
    return f"{error.filename or 'A file'}: {error.strerror or error}; make it accessible to this user and try again."


def main(words: Sequence[str]) -> int:
    """Build what `words` ask for and say so; return 0. Raise Refusal where that cannot be."""
    wanted = arguments(words)
    images = load(on_request=True)
    added = with_addons(images, addons.told(wanted.addons))
    images, names = (*images, *added), wanted.names or [*{image.name: None for image in added}]
    chosen: Sequence[Image] = (
        tagged(images, names) if wanted.tags else choose(images, names, wanted.python, wanted.version)
    )
    demand_locks(images, chosen)
    progress = report.Progress()
    with cache.lock(lambda: progress.say("builder", "another build is running; waiting for it to end")):
        engine = Engine()
        if wanted.base and added:
            raise Refusal(f"Add-ons stand on our Plone: build that with --base {wanted.base} first, then them without.")
        if wanted.base:
            python = engine.target(wanted.base).python
            chosen = on_given_base(images, chosen, bool(names), wanted.base, python)
        # Who wants fresh images has a network; without one no archive is asked by the way.
        kit = None if wanted.fresh else Kit.at(HERE.parent)
        look = security.Look if kit else partial(security.look, asked=wanted.fresh)
        builder = Builder(
            engine, images, progress, wanted.base, wanted.missing or wanted.fresh, wanted.no_cache, wanted.fresh, look,
            kit=kit,
        )  # fmt: skip
        if kit and wanted.tags:
            from builder.kit.others import load_others  # noqa: PLC0415 - needs ansible/, which only the front gives

            load_others(kit, engine, set(names) - {image.tag for image in images}, progress)
        # Only who builds has to have the key: others bring what was signed.
        sign = signer(wanted.sign_key, demand=builder.builds(chosen)) if wanted.sign_key else None
        results: list[report.Result] = []
        try:
            for result in builder.run(chosen):
                results.append(result)
                # One that was there is not signed by the way: somebody may have changed it.
                if sign and result.state == "built":
                    sign(builder, result.image)
        finally:
            if results:
                print(report.document(results) if wanted.json else report.table(results))
    given = added[0].addons.option if added and added[0].addons else ""
    if not wanted.json and any(result.state == "built" for result in results):
        print(f"builder: ./invoke images.sbom{given} writes down what is in them.", file=sys.stderr)
    unread = [look.sentence for look in builder.looks.values() if look.trouble and (look.is_named or wanted.fresh)]
    sentences = [*unread, *report.missed(results, fresh=wanted.fresh, given=given)]
    if sentences and wanted.fresh:
        raise Refusal(" ".join(sentences))
    for sentence in sentences:
        print(f"builder: {sentence}", file=sys.stderr)
    return 0


def signer(key: Path, *, demand: bool) -> Callable[[Builder, str], None]:
    """Return what signs a statement about the image of a tag with `key`.

    With `demand`, raise Refusal where that cannot sign.
    """
    from builder import provenance, signing  # noqa: PLC0415 - needs ansible/, which only the front gives

    if demand:
        signing.demand_key(key)
    return partial(provenance.sign_built, key=key)


def run(name: str, program: Callable[[Sequence[str]], int], stopped: str = "") -> NoReturn:
    """End with the exit code of `program`, or with 2 and one sentence that begins with `name`.

    `stopped`: what to say after Ctrl-C.
    """
    try:
        sys.exit(program(sys.argv[1:]))
    except Refusal as refusal:
        why = str(refusal)
    except OSError as error:
        why = disk(error)
    except KeyboardInterrupt:
        why = stopped
    if why:
        print(f"{name}: {why}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    run("builder", main, "stopped; what was built so far is kept.")
