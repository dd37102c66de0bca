"""What the builder asks of an engine with containerd's image store: names move before an image is whole."""

from __future__ import annotations

import io
from typing import Any

import pytest
from docker.errors import ImageNotFound

from builder import Refusal
from builder.engine import Engine

TAG = "eduhub/pilot:py3.11"
STORE = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
LOADED = {"stream": f"Loaded image: {TAG}\n"}
NOT_UNPACKED = {"stream": f"Error unpacking image {TAG}: write /x: no space left on device\n"}


class Client:
    """A client of an engine that forgets an image without a name, and answers a load with `says`."""

    def __init__(self, info: dict[str, Any], names: dict[str, str], says: list[dict[str, str]]) -> None:
        self.names, self._info, self._says = names, info, says
        self.api = self.images = self

    def info(self) -> dict[str, Any]:
        return self._info

    def get(self, name: str) -> Any:
        if name not in self.names:
            raise ImageNotFound(name)
        return type("Image", (), {"attrs": {"Id": self.names[name]}})

    def tag(self, image: str, name: str) -> None:
        assert image in self.names.values()
        self.names[name] = image

    def remove_image(self, name: str) -> None:
        del self.names[name]

    def load_image(self, _: Any, quiet: bool) -> list[dict[str, str]]:
        assert quiet
        self.names[TAG] = "new"
        return self._says


def loaded(client: Client) -> dict[str, str]:
    """Load an archive with the image TAG; return what has which name then."""
    engine = Engine.__new__(Engine)
    engine._client = client  # type: ignore[assignment] # what the SDK is asked
    engine.load(io.BytesIO(), TAG)
    return client.names


def test_the_image_that_had_the_name_is_kept_in_containerds_store():
    assert loaded(Client(STORE, {TAG: "old"}, [LOADED])) == {TAG: "new", f"{TAG}-before": "old"}
    assert loaded(Client(STORE, {}, [LOADED])) == {TAG: "new"}
    assert loaded(Client({"DriverStatus": [["Backing Filesystem", "extfs"]]}, {TAG: "old"}, [LOADED])) == {TAG: "new"}


@pytest.mark.parametrize(
    "says",
    [[LOADED, NOT_UNPACKED], [{"error": "failed to unpack loaded image: no space left on device"}]],
    ids=["from engine 27.2 on", "before"],
)
def test_an_image_that_could_not_be_unpacked_is_refused_and_has_no_name(says):
    client = Client(STORE, {TAG: "old"}, says)
    with pytest.raises(Refusal, match="The disk is full"):
        loaded(client)
    assert client.names == {TAG: "old", f"{TAG}-before": "old"}
    client = Client(STORE, {}, says)
    with pytest.raises(Refusal, match="The disk is full"):
        loaded(client)
    assert client.names == {}
