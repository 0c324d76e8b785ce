"""One container by the benchmark: made for it as for a call, or one that runs already."""

from __future__ import annotations

from sandbox.errors import EnvironmentLacking
from sandbox.execute.benchmark import Account, Judged, judge
from sandbox.execute.config import Placement, config_of
from sandbox.execute.confinement import Kernel
from sandbox.execute.container import make_ready
from sandbox.execute.engine import Engine, new_name
from sandbox.execute.folders import private_folder
from sandbox.execute.image import find_image
from sandbox.execute.owner import Owner
from sandbox.execute.podman import Podman
from sandbox.execute.source import ToolSource, snapshot, source_digest
from sandbox.ir import Run, RunTool

LABEL = "examination"
"""In the place of a call's digest: none is made."""


def examine_container(engine: Engine, name: str | None) -> tuple[str, tuple[Judged, ...]]:
    """The container's name, and every recommendation on it. Without a name one is made, started, and removed again.

    Raises:
        EnvironmentLacking: no image to make one of, or an engine that the benchmark is not about.
        SandboxFailure: the engine has no such container, or the one that it made is not as asked.
    """
    if isinstance(engine, Podman):
        message = "the benchmark reads Docker's account of a container, and this engine is Podman"
        raise EnvironmentLacking(message, "environment.engine")
    root = str(private_folder())
    if name is not None:
        return name, judge(Account.of_inspect(engine.inspect(name), root), Kernel.this())
    made = new_name()
    config = config_of(Run(RunTool("none", "none")), "the examination")
    source = snapshot(ToolSource(None, (), source_digest(())))
    placement = Placement(find_image(engine, None), source, None, Owner.claiming().labels(LABEL))
    try:
        ready = make_ready(engine, config, placement, made)
        try:
            return made, judge(Account.of_inspect(engine.inspect(made), root), Kernel.this())
        finally:
            ready.stream.close()
    finally:
        engine.remove(made)
