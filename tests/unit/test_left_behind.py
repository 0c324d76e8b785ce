"""Unit: what a container test leaves behind is seen, and each is looked after; once none was, and nobody noticed."""

from __future__ import annotations

import os

import docker
import pytest
from leftkit import OWNER_LABEL, left_behind

from sandbox.execute.image import default_tag

pytestmark = pytest.mark.containers


def test_a_container_that_is_left_behind_is_seen(engine: docker.DockerClient) -> None:
    made = engine.containers.create(default_tag(), ["true"], labels={OWNER_LABEL: str(os.getpid())})
    try:
        assert left_behind(engine) == [made.name]
    finally:
        made.remove()


def test_every_container_test_is_looked_after(request: pytest.FixtureRequest) -> None:
    assert "nothing_left" in request.fixturenames
    assert request.getfixturevalue("nothing_left") == "looked after"
