"""The real server behind the gateway: a runner that forwards permitted calls to one container, for one client session.

Calls take turns. Before each the server's list of tools is compared with the pins whenever it has told of a change;
after a call that was late, or broke the protocol, the container is killed, and the next call starts another, a few
times. A tool that is not as it was reviewed is not prepared, and so no permit for it ever exists.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sandbox import ir
from sandbox.call import Outcome, Permit
from sandbox.errors import EnvironmentLacking, SandboxError, SandboxFailure, UsageError
from sandbox.events import emit
from sandbox.execute.broker.credentials import read_secrets
from sandbox.execute.broker.lease import broker_for, new_folder
from sandbox.execute.cold import ColdRunner, check_permit, not_started
from sandbox.execute.config import Placement, config_of
from sandbox.execute.gvisor import check_isolation, granted_isolation, runtime_of
from sandbox.execute.owner import Owner
from sandbox.execute.protocol import one_line
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.execute.served import ServedContainer
from sandbox.execute.session_workspace import SessionWorkspace
from sandbox.execute.source import ToolSource, snapshot, source_digest
from sandbox.execute.stopping import Executions
from sandbox.execute.workspace import Changes
from sandbox.ir import Contract, Tool
from sandbox.mcp.answers import outcome_of
from sandbox.mcp.arguments import URI, server_request
from sandbox.mcp.channels import channel_of, check_channel, granted_by
from sandbox.mcp.cleaning import clean_text
from sandbox.mcp.pins import Definition, Listing, ListKind, Pins
from sandbox.mcp.review import Review
from sandbox.mcp.upstream import ServerLost, ServerRefused, Upstream

START_TIMEOUT_S: Final = 60
"""From the container's hello to the server's list of tools; an interpreter with a framework takes seconds."""
MAX_STARTS: Final = 8
"""Containers in one session: a server that dies of every call is not started for ever."""
OVERHEAD: Final = 1024 * 1024
"""Bytes that a server may send for one request besides its result: lists of tools, progress, logging."""
ESCAPED: Final = 6
"""Bytes that one byte of a result may take on the way (`\\u0001`)."""


@dataclass(slots=True)
class _Live:
    """A started server and what it says now of what it offers."""

    served: ServedContainer
    upstream: Upstream
    listing: Listing


class ServerSession:
    """A `Runner` for tools without `run`, which may stand for resources and prompts too.

    Thread-safe; after `close` it cannot be used again.
    """

    def __init__(self, contract: Contract, command: Sequence[str], pins: Pins | None) -> None:
        """`pins` None is for listing only: nothing is prepared. UsageError where the spec has no `server`."""
        if contract.server is None:
            message = (
                f"`{contract.file}` has no `server:`, the grants of the real server; `server: {{}}` grants nothing"
            )
            raise UsageError(message, "mcp.server")
        self._contract = contract
        self._grants = contract.server
        self._granted = granted_by(contract.server)
        self._review = Review(self._granted, pins)
        self._command = tuple(command)
        config = config_of(contract.server, f"`server` in {contract.file}")
        self._config = replace(config, isolation=granted_isolation(contract.server, "`server`"))
        self._engine = ColdRunner()
        self._turn = threading.RLock()
        self._executions = Executions()
        self._live: _Live | None = None
        self._workspace: SessionWorkspace | None = None
        self._sockets: Path | None = None
        self._starts = 0
        self._closed = False

    # --- for the gateway -------------------------------------------------------------------------

    def listed(self) -> Listing:
        """What the server says now of what it offers, started if it is not yet. Raises EnvironmentLacking."""
        with self._turn:
            return self._current().listing

    def warm(self) -> None:
        """Starts the server on a thread of its own; what goes wrong is told to whoever asks for it first."""

        def start() -> None:
            with contextlib.suppress(SandboxError):
                self.listed()

        threading.Thread(target=start, name="sandbox-mcp-start", daemon=True).start()

    def server_name(self) -> str:
        """What the server calls itself, '' where it is not running."""
        with self._turn:
            return self._live.upstream.server if self._live is not None else ""

    def is_as_reviewed(self, tool: str) -> bool:
        """As `Review.is_as_reviewed`, of what the server lists now. Raises EnvironmentLacking."""
        return self._review.is_as_reviewed(tool, self.listed())

    def unchanged(self, kind: ListKind) -> tuple[Definition, ...]:
        """What the server lists now of this kind exactly as it was reviewed. Raises EnvironmentLacking."""
        return self._review.unchanged(kind, self.listed())

    def close(self) -> None:
        """Kills the server; its container and its view of the workspace are gone when this returns."""
        with self._turn:
            self._closed = True
            self._end("closed")
            if self._workspace is not None:
                self._workspace.close()
            if self._sockets is not None:
                shutil.rmtree(self._sockets, ignore_errors=True)
            self._engine.close()

    def abort(self) -> None:
        """Kills the server now, whatever call it is in; what was in flight ends as lost. Then `close` is quick."""
        self._closed = True
        live = self._live
        if live is not None:
            live.served.kill()

    def kill(self, nonce: str) -> None:
        """Kills the server in the middle of the call with this permit; a call that waits its turn is not started."""
        self._executions.kill(nonce)

    def empty(self) -> None:
        """Ends a server that waits for calls; the next one starts another."""
        if self._turn.acquire(blocking=False):
            try:
                self._starts -= self._live is not None  # it did not end by itself
                self._end("stopped")
            finally:
                self._turn.release()

    # --- the runner ------------------------------------------------------------------------------

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """What a permit for this tool binds: grants, command, image, and the reviewed definition.

        Raises EnvironmentLacking where the server does not start, or the tool is not as it was reviewed.
        """
        _ = contract
        with self._turn:
            check_channel(self._granted, tool.name)
            if not self.is_as_reviewed(tool.name):
                message = (
                    f"`{tool.name}` is not as it was reviewed: the server describes it in another way, or not at all; "
                    "a person has to look at it and run `sandbox mcp pin`"
                )
                raise EnvironmentLacking(message, "mcp.changed")
            read_secrets(self._contract, self._grants.network)
            return self._prepared(tool)

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Forwards the permitted call once, and tells what came of it."""
        began = time.monotonic()
        with self._executions.of(permit.nonce) as execution, self._turn:
            waited_ms = round((time.monotonic() - began) * 1000)
            try:
                prepared = self.prepare(contract, tool)
                check_permit(permit, prepared, contract, tool, now_ms + waited_ms)
                live = self._current()
                live.served.occupy(execution)
            except SandboxError as error:
                return execution.judge(not_started(error))
            started = time.monotonic()
            outcome = self._forward(live, permit, tool, judge)
            return _timed(execution.judge(outcome), started)

    # --- private: one call -----------------------------------------------------------------------

    def _forward(self, live: _Live, permit: Permit, tool: Tool, judge: ChangeJudge | None) -> Outcome:
        live.served.stderr.clear()
        try:
            with broker_for(self._contract, self._grants, self._sockets) as broker:
                if broker.failure is not None:
                    return broker.failure
                broker.await_ready()
                if self._workspace is None:
                    return broker.settle(self._ask(live, permit, tool))
                changes = self._changes(tool, judge)
                with self._workspace.call(lambda: self._frozen(live.served), changes) as settle:
                    return settle(broker.settle(self._ask(live, permit, tool)))
        except (SandboxError, OSError, RecursionError) as error:
            self._end("workspace")
            code = error.reason_code if isinstance(error, SandboxFailure) else "sandbox_failure.workspace"
            return Outcome("sandbox_failure", code, one_line(str(error)))
        except BaseException:
            self._end("interrupted")
            raise

    def _changes(self, tool: Tool, judge: ChangeJudge | None) -> Changes | None:
        """How what the call changes is judged; a read or a prompt changes nothing but by express rules."""
        declared = tool.changes is not None or judge is not None
        if channel_of(self._granted, tool.name) != "tools/call" and not declared:
            return None
        return Changes(tool.changes is not None, judge)

    def _ask(self, live: _Live, permit: Permit, tool: Tool) -> Outcome:
        channel = channel_of(self._granted, tool.name)
        params = server_request(channel, self._granted, permit.call, tool, live.listing.tools.get(tool.name))
        deadline = time.monotonic() + self._grants.timeout_ms / 1000
        try:
            answer = live.upstream.ask(channel, params, deadline)
        except ServerRefused as refused:
            return Outcome("error", "tool.error", one_line(f"the server refused ({refused.code}): {refused}"))
        except ServerLost as lost:
            return self._lost(live, lost)
        except SandboxFailure as failure:
            self._end("failed")
            return Outcome("sandbox_failure", failure.reason_code, one_line(str(failure)))
        return outcome_of(channel, answer, str(params.get(URI, "")), self._granted, self._grants.output)

    def _lost(self, live: _Live, lost: ServerLost) -> Outcome:
        """What became of a call under which the conversation ended; the container does not outlive it."""
        ended, words = live.served.ended, live.served.last_words()
        self._end(lost.reason_code)
        stderr = clean_text(words)
        match lost.reason_code:
            case "limit.time":
                reason = f"the call took longer than {self._grants.timeout_ms} ms; the server was stopped"
                return Outcome("timeout", "limit.time", reason, stderr=stderr)
            case "limit.output" | "limit.result":
                return Outcome("output_limit", lost.reason_code, f"{lost}; it was stopped", stderr=stderr)
            case "mcp.server_gone":
                return Outcome("error", "mcp.server_gone", f"the server ended during the call: {ended}", stderr=stderr)
            case _:
                return Outcome("error", lost.reason_code, f"{lost}; it was stopped", stderr=stderr)

    @contextlib.contextmanager
    def _frozen(self, served: ServedContainer) -> Iterator[None]:
        served.pause()
        try:
            yield
        finally:
            served.unpause()

    # --- private: the server ---------------------------------------------------------------------

    def _current(self) -> _Live:
        """The server, alive and with its present list of tools."""
        if self._live is not None:
            try:
                self._live.upstream.drain()
                if self._live.upstream.changed:
                    emit("gateway.tools_changed")
                    self._live.listing = self._list(self._live.upstream, time.monotonic() + START_TIMEOUT_S)
            except (ServerLost, SandboxFailure) as error:
                emit("gateway.server_lost", reason=one_line(str(error)))
                self._end("lost")
        if self._live is None:
            self._live = self._start()
        return self._live

    def _list(self, upstream: Upstream, deadline: float) -> Listing:
        """What of the server's lists matters: what is not granted is not even asked for."""
        granted = self._granted
        return upstream.list_all(deadline, prompts=bool(granted.prompts), resources=bool(granted.resources))

    def _start(self) -> _Live:
        if self._closed:
            message = "the session is over"
            raise EnvironmentLacking(message, "mcp.closed")
        if self._starts >= MAX_STARTS:
            message = f"the server was started {MAX_STARTS} times in this session and ended each time"
            raise EnvironmentLacking(message, "mcp.server_gone")
        self._starts += 1
        served: ServedContainer | None = None
        try:
            served = self._container()
            upstream = Upstream(served, ESCAPED * self._grants.output + OVERHEAD)
            deadline = time.monotonic() + START_TIMEOUT_S
            upstream.open(deadline)
            return _Live(served, upstream, self._list(upstream, deadline))
        except (ServerLost, SandboxFailure) as error:
            said = f": {served.last_words()}" if served is not None and served.stderr else ""
            if served is not None:
                _discard(served)
            message = one_line(f"the server did not start ({error}){said}")
            raise EnvironmentLacking(message, "mcp.server_gone") from error

    def _container(self) -> ServedContainer:
        run, engine = self._grants, self._engine.engine()
        check_isolation(engine, self._config.isolation, run, "`server`")
        if self._workspace is None and run.workspace is not None:
            self._workspace = SessionWorkspace.open(self._contract, run.workspace, self._config, engine.first_ids)
        if self._sockets is None and run.network:
            self._sockets = new_folder()
        source = ToolSource(None, (), source_digest(()))
        labels = Owner.claiming().labels(f"session {self._command_digest()}")
        view = None if self._workspace is None else self._workspace.view
        placement = Placement(self._image(), snapshot(source), view, labels, broker=self._sockets)
        return ServedContainer.start(engine, self._config, placement, self._command)

    def _image(self) -> str:
        return self._engine.image(self._grants.image)

    def _prepared(self, tool: Tool) -> Prepared:
        bound = f"{self._config.digest} {ir.digest(self._grants)} {self._command_digest()}"
        run_digest = hashlib.sha256(bound.encode()).hexdigest()
        runtime = runtime_of(self._engine.engine(), self._config)
        return Prepared(run_digest, self._image().removeprefix("sha256:"), self._review.digest(tool.name), runtime)

    def _command_digest(self) -> str:
        return hashlib.sha256("\0".join(self._command).encode("utf-8", "surrogateescape")).hexdigest()

    def _end(self, reason: str) -> None:
        live, self._live = self._live, None
        if live is not None:
            emit("gateway.server_ended", reason=reason)
            _discard(live.served)


def _discard(served: ServedContainer) -> None:
    try:
        served.close()
    except SandboxFailure as error:
        emit("gateway.not_removed", reason=one_line(str(error)))


def _timed(outcome: Outcome, started: float) -> Outcome:
    return replace(outcome, duration_ms=round((time.monotonic() - started) * 1000))
