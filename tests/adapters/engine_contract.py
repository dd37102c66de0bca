"""What an engine does, whichever it is: the fake of the unit tests and Docker's own pass the same tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from eduhub_pilot.adapters.docker import LINE_CHARACTERS, Engine
from eduhub_pilot.model.errors import EngineDownError
from eduhub_pilot.model.facts import Found
from eduhub_pilot.model.slot_container import SlotContainer

ABSENT = "sha256:" + "0" * 64


class Stage(Protocol):
    """An engine, and what a test does around it. Names are the test's own, and nothing is left behind."""

    engine: Engine
    image: str
    """The name of an image that has a label org.eduhub.python."""
    python: str
    """What that label says."""
    repository: str
    """A repository in which there is no image yet."""

    def wanted(self, name: str, *lines: str) -> SlotContainer:
        """Return a container of `image` that prints `lines` and then runs until it is stopped."""

    def container(self, name: str) -> str:
        """Return a container name of this test's own."""

    def ready(self, name: str) -> None:
        """Wait until the program in a running container has printed its lines."""

    def ends(self, name: str, code: int) -> None:
        """Let the program in a running container end with `code`, and wait until the engine knows."""

    def last_name(self) -> str:
        """Return the only name of an image from which there is a container."""

    def down(self) -> Engine:
        """Return a client of an engine that is down."""


ASKED: dict[str, Callable[[Engine, str], object]] = {
    "version": lambda engine, _: engine.version(),
    "image": lambda engine, _: engine.image("eduhub/bridge:py3.11"),
    "tags": lambda engine, _: engine.tags("eduhub/bridge"),
    "tag": lambda engine, _: engine.tag(ABSENT, "eduhub-test/contract:down"),
    "untag": lambda engine, _: engine.untag("eduhub-test/contract:down"),
    "container": lambda engine, name: engine.container(name),
    "run": lambda engine, name: engine.run(SlotContainer(name, ABSENT, {}, {}, [], [])),
    "log": lambda engine, name: engine.log(name, 5),
    "containers_of": lambda engine, _: engine.containers_of("eduhub-test"),
    "lines_with": lambda engine, name: engine.lines_with(name, "x", 5),
    "remove": lambda engine, name: engine.remove(name, 1),
    "stop": lambda engine, name: engine.stop(name, 1),
    "start": lambda engine, name: engine.start(name),
    "work": lambda engine, name: engine.work(name, ["true"], {}, False, lambda: None),
    "let_end": lambda engine, name: engine.let_end(name),
    "let_last": lambda engine, name: engine.let_last(name),
    "rename": lambda engine, name: engine.rename(name, f"{name}-renamed"),
    "lay": lambda engine, name: engine.lay(name, ABSENT, "/x", {}, {}, "eduhub-test"),
    "discard": lambda engine, name: engine.discard(name),
    "look": lambda engine, name: engine.look(name, ["true"], "64m", 5, lambda: None),
}


class EngineContract:
    """Inherited by one test class for each engine, which has a fixture `stage`."""

    def test_its_version_begins_with_numbers(self, stage: Stage) -> None:
        major, minor, *_ = stage.engine.version().split(".")
        assert (major.isdigit(), minor.isdigit()) == (True, True)

    # --- images

    def test_an_image_is_found_by_its_name_and_by_its_id(self, stage: Stage) -> None:
        found = stage.engine.image(stage.image)
        assert found is not None
        assert found.id.startswith("sha256:")
        assert found.python == stage.python
        assert stage.engine.image(found.id) == found

    def test_an_absent_image_is_none(self, stage: Stage) -> None:
        assert stage.engine.image(f"{stage.repository}:none") is None
        assert stage.engine.image(ABSENT) is None
        assert stage.engine.tags(stage.repository) == []

    def test_a_name_that_is_given_is_found_and_can_be_taken_away_again(self, stage: Stage) -> None:
        found = stage.engine.image(stage.image)
        assert found is not None
        for tag in ("b", "a"):
            stage.engine.tag(found.id, f"{stage.repository}:{tag}")
        assert stage.engine.tags(stage.repository) == [f"{stage.repository}:a", f"{stage.repository}:b"]
        assert stage.engine.image(f"{stage.repository}:a") == found
        for _ in range(2):
            stage.engine.untag(f"{stage.repository}:a")
        assert stage.engine.tags(stage.repository) == [f"{stage.repository}:b"]
        assert stage.engine.image(stage.image) == found

    def test_an_absent_image_gets_no_name(self, stage: Stage) -> None:
        with pytest.raises(EngineDownError):
            stage.engine.tag(ABSENT, f"{stage.repository}:a")
        assert stage.engine.tags(stage.repository) == []

    def test_the_last_name_of_an_image_in_use_is_not_taken_away(self, stage: Stage) -> None:
        name = stage.last_name()
        with pytest.raises(EngineDownError):
            stage.engine.untag(name)
        assert stage.engine.image(name) is not None

    # --- containers

    def test_a_container_that_was_run_is_there_with_its_labels(self, stage: Stage) -> None:
        wanted = stage.wanted("runs")
        stage.engine.run(wanted)
        found, image = stage.engine.container(wanted.name), stage.engine.image(stage.image)
        assert found is not None
        assert image is not None
        assert (found.name, found.state, found.runs, found.restarts) == (wanted.name, "running", True, 0)
        assert found.image == image.id
        assert {**found.labels, **wanted.labels} == found.labels
        assert found.release == wanted.labels["org.eduhub.release"]
        assert found.command == tuple(wanted.command or ())
        assert found.mounts == ()

    def test_an_absent_container_is_none_and_removing_it_is_fine(self, stage: Stage) -> None:
        name = stage.container("absent")
        assert stage.engine.container(name) is None
        stage.engine.remove(name, 1)
        stage.engine.discard(name)
        stage.engine.let_end(name)
        assert stage.engine.log(name, 5) == []
        assert stage.engine.lines_with(name, "x", 5) == Found([])

    def test_a_container_that_is_stopped_is_there_and_starts_again(self, stage: Stage) -> None:
        wanted = stage.wanted("rests")
        stage.engine.stop(wanted.name, 1)  # there is none
        stage.engine.run(wanted)
        for _ in range(2):
            stage.engine.stop(wanted.name, 1)
        stopped = stage.engine.container(wanted.name)
        for _ in range(2):
            stage.engine.start(wanted.name)
        started = stage.engine.container(wanted.name)
        assert stopped is not None
        assert started is not None
        assert (stopped.state, started.state, started.id) == ("exited", "running", stopped.id)

    def test_an_absent_container_is_not_started_and_has_no_data_to_work_on(self, stage: Stage) -> None:
        name = stage.container("absent")
        with pytest.raises(EngineDownError):
            stage.engine.start(name)
        with pytest.raises(EngineDownError):
            stage.engine.work(name, ["true"], {}, False, lambda: None)

    def test_a_name_in_use_is_refused_and_its_container_goes_on(self, stage: Stage) -> None:
        wanted = stage.wanted("twice")
        stage.engine.run(wanted)
        before = stage.engine.container(wanted.name)
        with pytest.raises(EngineDownError):
            stage.engine.run(wanted)
        assert stage.engine.container(wanted.name) == before

    def test_a_container_of_an_absent_image_is_refused(self, stage: Stage) -> None:
        name = stage.container("imageless")
        with pytest.raises(EngineDownError):
            stage.engine.run(SlotContainer(name, ABSENT, {}, {}, [], ["none"]))
        assert stage.engine.container(name) is None

    @pytest.mark.parametrize("way", ["remove", "discard"])
    def test_a_running_container_is_removed_and_the_next_of_its_name_is_another(self, stage: Stage, way: str) -> None:
        wanted = stage.wanted("again")
        ids = []
        for _ in range(2):
            stage.engine.run(wanted)
            found = stage.engine.container(wanted.name)
            assert found is not None
            ids.append(found.id)
            if way == "remove":
                stage.engine.remove(wanted.name, 1)
            else:
                stage.engine.discard(wanted.name)
            assert stage.engine.container(wanted.name) is None
        assert "" not in ids
        assert len(set(ids)) == 2

    def test_a_container_that_ends_is_started_again(self, stage: Stage) -> None:
        wanted = stage.wanted("ends")
        stage.engine.run(wanted)
        stage.ends(wanted.name, 7)
        found = stage.engine.container(wanted.name)
        assert found is not None
        assert found.state in {"running", "restarting"}
        assert found.restarts == 1

    def test_one_that_may_end_goes_on_until_it_ends_and_then_stays_ended(self, stage: Stage) -> None:
        wanted = stage.wanted("lasts")
        stage.engine.run(wanted)
        stage.engine.let_end(wanted.name)
        running = stage.engine.container(wanted.name)
        assert running is not None
        assert running.runs
        stage.ends(wanted.name, 7)
        found = stage.engine.container(wanted.name)
        assert found is not None
        assert (found.state, found.exit_code, found.restarts) == ("exited", 7, 0)

    def test_one_that_may_end_can_be_let_last_again(self, stage: Stage) -> None:
        name = self._started(stage, "lasts")
        stage.engine.let_end(name)
        stage.engine.let_last(name)
        stage.ends(name, 7)
        found = stage.engine.container(name)
        assert found
        assert found.restarts == 1

    def test_a_running_container_gets_another_name_unless_that_is_taken(self, stage: Stage) -> None:
        name, other, new = self._started(stage, "named"), self._started(stage, "other"), stage.container("renamed")
        before = stage.engine.container(name)
        with pytest.raises(EngineDownError):
            stage.engine.rename(name, other)
        stage.engine.rename(name, new)
        found = stage.engine.container(new)
        assert before
        assert found
        assert (found.id, found.runs, stage.engine.container(name)) == (before.id, True, None)

    def _started(self, stage: Stage, name: str) -> str:
        wanted = stage.wanted(name, "ready")
        stage.engine.run(wanted)
        stage.ready(wanted.name)
        return wanted.name

    def test_lines_of_a_log_are_found_by_a_text_whole_and_in_their_order(self, stage: Stage) -> None:
        wanted = stage.wanted("found", "one id-7", "two", "three id-7 " + "x" * 2 * LINE_CHARACTERS)
        stage.engine.run(wanted)
        stage.ready(wanted.name)
        lines = ["one id-7", "three id-7 " + "x" * 2 * LINE_CHARACTERS]
        assert stage.engine.lines_with(wanted.name, "id-7", 60) == Found(lines)
        assert stage.engine.lines_with(wanted.name, "id-8", 60) == Found([])
        assert not stage.engine.lines_with(wanted.name, "id-7", 0).whole

    def test_the_containers_of_a_stack_are_listed_by_name_those_that_ended_too(self, stage: Stage) -> None:
        names: list[str] = []
        for name in ("b-listed", "a-listed"):
            wanted = stage.wanted(name, "one")
            stage.engine.run(wanted)
            stage.ready(wanted.name)
            names.insert(0, wanted.name)
        stage.engine.stop(names[0], 5)
        listed = stage.engine.containers_of(wanted.labels["org.eduhub.stack"])
        assert [(each.name, each.runs) for each in listed if each.name in names] == [
            (names[0], False), (names[1], True),
        ]  # fmt: skip
        assert stage.engine.containers_of("eduhub-test-none") == []

    def test_the_last_lines_of_a_log_are_told_and_long_ones_cut(self, stage: Stage) -> None:
        wanted = stage.wanted("says", "one", "two", "x" * 2000)
        stage.engine.run(wanted)
        stage.ready(wanted.name)
        assert stage.engine.log(wanted.name, 2) == ["two", "x" * LINE_CHARACTERS]
        assert stage.engine.log(wanted.name, 9) == ["one", "two", "x" * LINE_CHARACTERS]

    # --- looks

    def test_what_is_laid_is_there_and_does_not_run(self, stage: Stage) -> None:
        name, image = stage.container("laid"), stage.engine.image(stage.image)
        assert image is not None
        for _ in range(2):  # the second replaces the first
            stage.engine.lay(name, image.id, "/green", {"a.py": "x = 1\n"}, {"PYTHONPATH": "/green"}, "eduhub-test")
        found = stage.engine.container(name)
        assert found is not None
        assert (found.state, found.image, found.mounts) == ("created", image.id, ("/green",))
        assert found.labels["org.eduhub.stack"] == "eduhub-test"
        stage.engine.discard(name)
        assert stage.engine.container(name) is None

    def test_of_an_absent_image_nothing_is_laid(self, stage: Stage) -> None:
        name = stage.container("laid")
        with pytest.raises(EngineDownError):
            stage.engine.lay(name, ABSENT, "/green", {}, {}, "eduhub-test")
        assert stage.engine.container(name) is None

    def test_a_look_lets_others_have_their_turn_and_leaves_the_container_alone(self, stage: Stage) -> None:
        wanted, turns = stage.wanted("seen"), []
        stage.engine.run(wanted)
        before = stage.engine.container(wanted.name)
        program = ["python3", "-c", "import time; time.sleep(0.5)"]
        look = stage.engine.look(wanted.name, program, "64m", 60, lambda: turns.append(1))
        assert (look.code, look.trouble) == (0, None)
        assert turns
        assert stage.engine.container(wanted.name) == before

    def test_a_look_into_an_absent_container_is_refused(self, stage: Stage) -> None:
        with pytest.raises(EngineDownError):
            stage.engine.look(stage.container("absent"), ["true"], "64m", 5, lambda: None)

    # --- an engine that is down

    @pytest.mark.parametrize("asked", ASKED)
    def test_an_engine_that_is_down_is_one_error_whatever_it_is_asked(self, stage: Stage, asked: str) -> None:
        with pytest.raises(EngineDownError):
            ASKED[asked](stage.down(), stage.container("down"))
