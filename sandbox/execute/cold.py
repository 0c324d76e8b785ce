"""The runner that starts a new container for every call and keeps none."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox import ir
from sandbox.call import Outcome, Permit
from sandbox.errors import EnvironmentLacking, SandboxError, SandboxFailure, UsageError
from sandbox.events import emit
from sandbox.execute.broker.credentials import read_secrets
from sandbox.execute.broker.lease import broker_for
from sandbox.execute.config import ContainerConfig, Isolation, Placement, compile_config
from sandbox.execute.container import run_call
from sandbox.execute.engine import HOW_TO_GET, Engine, new_name
from sandbox.execute.gvisor import check_isolation, granted_isolation, runtime_of
from sandbox.execute.image import find_image
from sandbox.execute.owner import Owner
from sandbox.execute.podman import connect
from sandbox.execute.reap import reap
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.execute.source import ToolSource, resolve_source, snapshot
from sandbox.execute.stopping import Execution, Executions
from sandbox.execute.workspace import Changes, workspace_folder, workspace_transaction
from sandbox.ir import Contract, Run, Tool


@dataclass(frozen=True, slots=True)
class Job:
    """All that is needed to run one tool, as it is now."""

    config: ContainerConfig
    run: Run
    source: ToolSource
    image: str
    prepared: Prepared


class ColdRunner:
    """One hardened container a call, on the engine of this machine."""

    def __init__(self, engine: Engine | None = None, *, isolation: Isolation = "container") -> None:
        """`isolation` is the least that any tool gets here, whatever its spec demands."""
        self._isolation = isolation
        self._connected = engine
        self._connecting = threading.Lock()
        self._executions = Executions()
        self._left: set[str] = set()

    def close(self) -> None:
        """Closes the connection to the engine; the next use opens another one."""
        with self._connecting:
            engine, self._connected = self._connected, None
        if engine is not None:
            self._remove_left(engine)
            engine.close()

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """What a permit for this tool must bind; starts nothing. Raises as `Runner.prepare` says."""
        return self.job(contract, tool).prepared

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Runs the permitted call once, in a container that is gone when this returns."""
        with self._executions.of(permit.nonce) as execution:
            try:
                job = self.job(contract, tool)
                check_permit(permit, job.prepared, contract, tool, now_ms)
                mounted = snapshot(job.source)
            except SandboxError as error:
                return not_started(error)
            except OSError as error:
                return not_started(SandboxFailure(f"the tool's module cannot be copied: {error}"))
            changes = Changes(tool.changes is not None, judge)
            return self._run(job, mounted, permit, contract, tool, execution, changes)

    def kill(self, nonce: str) -> None:
        """Ends the execution of this permit."""
        self._executions.kill(nonce)

    def empty(self) -> None:
        """Nothing waits for calls here."""

    def _run(  # noqa: PLR0917  # an execution is these seven things
        self,
        job: Job,
        mounted: Path,
        permit: Permit,
        contract: Contract,
        tool: Tool,
        execution: Execution,
        changes: Changes,
    ) -> Outcome:
        engine = self.engine()
        labels = Owner.claiming().labels(permit.call.digest)
        with (
            workspace_transaction(
                contract, job.run, job.config, execution.check, first_ids=engine.first_ids
            ) as workspace,
            broker_for(contract, job.run) as broker,
        ):
            for failure in (workspace.failure, broker.failure):
                if failure is not None:
                    return execution.judge(failure)
            name = new_name()
            try:
                execution.occupy(engine, name)
            except SandboxFailure as stopped:
                return execution.judge(not_started(stopped))

            def before_call() -> None:
                broker.await_ready()
                execution.check()

            placement = Placement(job.image, mounted, workspace.view, labels, broker=broker.folder)
            self._remove_left(engine)
            outcome = run_call(engine, job.config, placement, permit.call, tool, name=name, before_call=before_call)
            if outcome.reason_code == "sandbox_failure.engine":
                self._left.add(name)  # it may not have been removed, or have been made after all
            return workspace.settle(execution.judge(broker.settle(outcome)), changes)

    def _remove_left(self, engine: Engine) -> None:
        """Tries again to remove what an engine in trouble may have left; what it still keeps is tried again later."""
        for name in tuple(self._left):
            try:
                engine.remove(name)
            except SandboxFailure as failure:
                emit("runner.not_removed", container=name, reason=str(failure))
                return
            self._left.discard(name)

    def job(self, contract: Contract, tool: Tool, image: str | None = None) -> Job:
        """What would run for this tool, as it is now; starts nothing. Raises as `Runner.prepare` says.

        `image` is the id of its image where that is known, so that the engine need not be asked.
        """
        config = compile_config(contract, tool)
        run = granted_run(tool)
        what = f"tool `{tool.name}`"
        config = replace(config, isolation=granted_isolation(run, what, self._isolation))
        source = resolve_source(contract, run)
        read_secrets(contract, run.network)
        if run.workspace is not None:
            _keep_apart(workspace_folder(contract, run.workspace), source, tool)
        engine = self.engine()
        check_isolation(engine, config.isolation, run, what)
        image = image or self._found(engine, run.image)
        body = f"{config.digest} {ir.digest(run)}"
        run_digest = hashlib.sha256(body.encode()).hexdigest()
        prepared = Prepared(run_digest, image.removeprefix("sha256:"), source.digest, runtime_of(engine, config))
        return Job(config, run, source, image, prepared)

    def image(self, name: str | None) -> str:
        """The id of the named image, else of the default one. Raises EnvironmentLacking."""
        return self._found(self.engine(), name)

    def _found(self, engine: Engine, name: str | None) -> str:
        """The image's id. An engine that answered once may be gone by now, and may be back at the next call."""
        try:
            return find_image(engine, name)
        except SandboxFailure as error:
            self.close()
            raise EnvironmentLacking(HOW_TO_GET, "environment.engine") from error

    def engine(self) -> Engine:
        """The engine, connected at the first use; what dead owners left is removed then."""
        with self._connecting:
            if self._connected is None:
                self._connected = connect()
                try:
                    reap(self._connected)
                except SandboxFailure as failure:  # what others left does not keep this call from running
                    emit("runner.not_reaped", reason=str(failure))
            return self._connected


def check_permit(permit: Permit, prepared: Prepared, contract: Contract, tool: Tool, now_ms: int) -> None:
    """Returns if the permit is for exactly this, now.

    Raises:
        SandboxFailure: with `permit.expired`, or `permit.changed` and what no longer is what was permitted.
    """
    check_expiry(permit, now_ms)
    bound = {
        "the contract": (permit.contract_digest, ir.digest(contract)),
        "the tool": (permit.call.tool, tool.name),
        "the call": (permit.call.bound_digest, hashlib.sha256(permit.call.canonical.encode()).hexdigest()),
        "the tool's declaration": (contract.tool(tool.name), tool),
        "the run configuration": (permit.run_digest, prepared.run_digest),
        "the image": (permit.image_digest, prepared.image_digest),
        "the tool's source": (permit.source_digest, prepared.source_digest),
    }
    for what, (permitted, present) in bound.items():
        if permitted != present:
            message = f"{what} is not what was permitted"
            raise SandboxFailure(message, "permit.changed")


def check_expiry(permit: Permit, now_ms: int) -> None:
    """Returns if the permit still holds, as of now; raises SandboxFailure, `permit.expired`, if not."""
    if now_ms >= permit.expires_at_ms:
        message = "the permit has expired"
        raise SandboxFailure(message, "permit.expired")


def not_started(error: SandboxError) -> Outcome:
    """The outcome of a call for which nothing was started."""
    code = error.reason_code
    known = code.startswith(("permit.", "sandbox_failure"))
    return Outcome("sandbox_failure", code if known else f"sandbox_failure.{code}", str(error), started=False)


def granted_run(tool: Tool) -> Run:
    """The tool's `run`, which there must be."""
    run = tool.run
    if run is None:
        message = f"tool `{tool.name}` has no `run`"
        raise UsageError(message, "run.missing")
    return run


def _keep_apart(workspace: Path, source: ToolSource, tool: Tool) -> None:
    """Refuses a workspace from which a call could change what the next call runs."""
    if source.origin is None:
        return
    code, data = source.origin.resolve(), workspace.resolve()
    if code.is_relative_to(data) or data.is_relative_to(code):
        message = (
            f"the workspace `{workspace}` of tool `{tool.name}` holds, or lies in, its own module `{source.origin}`"
        )
        raise UsageError(message, "run.workspace")
