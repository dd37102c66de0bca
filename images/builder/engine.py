"""The Docker Engine, through its SDK: look an image up, import, build, ask what is inside, label, tag."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from builder import Refusal
from builder.buildlog import BuildLog, first_line, sentence
from builder.wheels import Target
from module_utils.host_readiness.engine import containerd_store
from module_utils.image_layers import BEFORE, NOT_UNPACKED

# A step that installs two hundred wheels says nothing for minutes on a busy machine.
SILENCE_SECONDS = 900

# What the wheels of an image depend on, asked of the image itself.
ASK = (
    "import json, platform, sys; libc, version = platform.libc_ver(); "
    "print(json.dumps([platform.python_version(), libc, version, platform.machine(), sys.implementation.name]))"
)


class Engine:
    """One Docker Engine. Every method raises Refusal, in one sentence, where the engine cannot do it."""

    def __init__(self) -> None:
        try:
            self._client = docker.from_env(timeout=SILENCE_SECONDS)
            self._client.ping()
        except DockerException as error:
            raise Refusal(_no_engine(str(error))) from None

    def labels(self, tag: str) -> dict[str, str] | None:
        """Return the labels of the image `tag`, or None where there is no such image."""
        facts = self.inspect(tag)
        return None if facts is None else dict(facts["Config"].get("Labels") or {})

    def inspect(self, tag: str) -> dict[str, Any] | None:
        """Return the engine's description of the image `tag`, or None where there is no such image."""
        try:
            with _plainly():
                return dict(self._client.images.get(tag).attrs)
        except ImageNotFound:
            return None

    def demand(self, tag: str) -> None:
        """Raise Refusal where there is no image `tag` to build on."""
        if self.inspect(tag) is None:
            raise Refusal(f"The engine has no image {tag!r} to build on; load it first (docker load, docker pull).")

    def import_root(self, archive: Path) -> str:
        """Make an image of the root file system in the tar `archive`; return its id."""
        with _plainly():
            answer = self._client.api.import_image_from_file(str(archive))
        last = json.loads(answer.strip().splitlines()[-1])
        if "error" in last:
            raise Refusal(sentence(last["error"]))
        return str(last["status"])

    def build(
        self,
        context: IO[bytes],
        arguments: Mapping[str, str],
        *,
        no_cache: bool = False,
        on_step: Callable[[str], object] = str,
    ) -> str:
        """Build the tar `context` without a network; return the image's id. `on_step` hears each step begin.

        Only the last stage stays on the engine: the others, and what a failed build leaves, are larger than the image.
        """
        with _plainly():
            answers = self._client.api.build(
                fileobj=context, custom_context=True, buildargs=dict(arguments), network_mode="none",
                nocache=no_cache, rm=True, forcerm=True, decode=True,
            )  # fmt: skip
            log = BuildLog(on_step)
            try:
                return log.follow(answers)
            finally:
                for image in log.leftovers:
                    self._forget(image)

    def target(self, image: str) -> Target:
        """Return the Python inside `image`, which must be a CPython on glibc."""
        self.demand(image)
        try:
            output = self._output(image, ["python3", "-c", ASK])
            version, libc, libc_version, machine, implementation = json.loads(output)
        except (Refusal, DockerException, ValueError):
            raise Refusal(
                f"{image} cannot be built on: no python3 answers in it; name an image that has one with --base."
            ) from None
        if libc != "glibc" or implementation != "cpython":
            raise Refusal(
                f"{image} cannot be built on: the wheels need CPython on glibc, and it has {implementation} on "
                f"{libc or 'another C library'}; name a Debian image with --base."
            )
        return Target(version=version, glibc=libc_version, machine=machine)

    def _output(self, image: str, command: list[str]) -> bytes:
        """Return what `command` prints in a container of `image`; b"" where it fails."""
        with _plainly():
            # Not `run(remove=True)`: that leaves the volumes an image declares behind.
            container = self._client.containers.create(
                image, command[1:], entrypoint=command[:1], network_mode="none", user="65534:65534"
            )
            try:
                container.start()
                code = container.wait()["StatusCode"]
                return bytes(container.logs(stderr=False)) if code == 0 else b""
            finally:
                container.remove(v=True, force=True)

    @contextmanager
    def exported(self, image: str) -> Iterator[Iterable[bytes]]:
        """Give the file system of `image` as the chunks of a tar archive."""
        with _plainly():
            # The command is never run; an image without one could not be made a container of otherwise.
            container = self._client.containers.create(image, ["true"], network_mode="none")
            try:
                chunks: Any = container.export()  # typed as str in the stubs
                yield chunks
            finally:
                container.remove(v=True, force=True)

    def save(self, tag: str, path: Path) -> None:
        """Write the image `tag` to `path`, as `docker save` does."""
        with _plainly(), path.open("wb") as file:
            for chunk in self._client.api.get_image(tag):
                file.write(chunk)

    def load(self, archive: IO[bytes], tag: str) -> None:
        """Load the image `tag` in `archive`, as `docker load` does.

        containerd's image store gives an image its name before it has unpacked it, and before engine 28.1 forgets the
        image that had the name, though a container runs on it.
        """
        with _plainly():
            names_first = containerd_store(self._client.info())
            before = self.inspect(tag) if names_first else None
            if before:
                self._client.api.tag(before["Id"], f"{tag}{BEFORE}")
            answers: Any = self._client.api.load_image(archive, quiet=True)  # type: ignore[no-untyped-call] # in the stubs
            for answer in answers:
                unpacked = NOT_UNPACKED.search(answer.get("stream", ""))
                if "error" in answer or unpacked:
                    if before:
                        self._client.api.tag(before["Id"], tag)
                    elif names_first:
                        self._forget_name(tag)
                    raise Refusal(sentence(unpacked[0] if unpacked else answer["error"]))

    def _forget_name(self, tag: str) -> None:
        with suppress(ImageNotFound):
            self._client.api.remove_image(tag)

    def label(self, image: str, tag: str, labels: Mapping[str, str], before_as: str = "") -> dict[str, Any]:
        """Put `labels` on `image`, name it `tag`, and return its description.

        Who had the name before is called `before_as` from then on, and removed where that is empty; so is who had that.
        """
        before = self.inspect(tag)
        said = " ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
        dockerfile = io.BytesIO(f"FROM {image}\nLABEL {said}\n".encode())
        with _plainly():
            labelled = BuildLog().follow(
                self._client.api.build(fileobj=dockerfile, network_mode="none", rm=True, decode=True)
            )
            gone = before if before and before["Id"] != labelled else None
            if gone and before_as:
                kept, gone = gone, self.inspect(before_as)
                self._client.api.tag(kept["Id"], before_as)
            self._client.api.tag(labelled, tag)
            if gone:
                self._forget(gone["Id"])
            return dict(self._client.images.get(labelled).attrs)

    def _forget(self, image: str) -> None:
        """Remove `image` and what was built only for it, unless it has a name, a container or an image on it."""
        try:
            if not self._client.images.get(image).tags:
                self._client.api.remove_image(image)
        except (APIError, ImageNotFound):
            return  # it is in use, which is its own good reason to stay


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what the SDK raises into a Refusal."""
    try:
        yield
    except ImageNotFound:
        raise
    except APIError as error:
        raise Refusal(sentence(error.explanation or str(error))) from None
    except (requests.RequestException, OSError) as error:
        raise Refusal(f"The Docker Engine stopped answering ({first_line(str(error))}); try again.") from None


def _no_engine(reason: str) -> str:
    if "Permission denied" in reason:
        return "This user may not talk to the Docker Engine; run it as root, or join the group docker and log in again."
    return (
        "No Docker Engine answers here; ./invoke deploy installs and starts one, "
        "or name another engine with DOCKER_HOST=unix:///path/to/docker.sock."
    )
