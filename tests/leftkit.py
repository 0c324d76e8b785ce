"""What a container test has left behind."""

from __future__ import annotations

import os

import docker

OWNER_LABEL = "sandbox.owner.pid"


def left_behind(engine: docker.DockerClient) -> list[str]:
    """The names of the containers, running or stopped, that belong to this process."""
    mine = {"label": f"{OWNER_LABEL}={os.getpid()}"}
    return [each.name or "" for each in engine.containers.list(all=True, filters=mine, ignore_removed=True)]
