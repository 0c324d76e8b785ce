"""The second engine in a process of its own, killed at its deadline: Z3 has no stop button.

Parent and child speak in frames (4 bytes of length, then JSON) over the child's stdin and stdout. The contract is
sent once, as IR, and the child answers with its digest, so that both engines hold the same one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, cast

from sandbox import ir
from sandbox.call import Call, EngineVerdict, Value
from sandbox.decide import Claim, Confirmation, EnginePair, Evaluator, Facts, Solver
from sandbox.errors import Fault
from sandbox.ir import Contract, Json, Tool, sort_of
from sandbox.lookups import named_by, names_of, visible
from sandbox.machine import SUCCEED, StateValue, Update
from sandbox.policy import Policy
from sandbox.stages import staged

if TYPE_CHECKING:
    from types import TracebackType

CHECK_DEADLINE_S: Final = 2.0
"""One ground check takes about a millisecond; what takes a thousand times as long is killed and denied."""

START_DEADLINE_S: Final = 60.0
"""Loading the solver takes a fraction of a second; a loaded machine may take long, but not for ever."""

MAX_FRAME: Final = 64 * 1024 * 1024
"""A contract of thousands of rules is a few MiB; a longer frame is a broken peer."""

MAX_MEMORY: Final = 4 * 1024 * 1024 * 1024
"""Address space of the child: a term that explodes fails there and not in the host program."""

_LENGTH: Final = struct.Struct(">I")


class SolverWorker:
    """Starts the child when first needed, and anew after it was killed. Thread-safe: one check at a time."""

    def __init__(self, contract: Contract, *, deadline_s: float = CHECK_DEADLINE_S) -> None:
        self._contract = contract
        self._named = {tool.name: named_by(tool) for tool in contract.tools}
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def start(self) -> None:
        """Start the child and wait until it holds the contract. Raises Fault if it does not."""
        with self._lock:
            self._running()

    @property
    def pid(self) -> int | None:
        """The child's process, while there is one."""
        child = self._child
        return None if child is None else child.pid

    def confirm(self, call: Call, state: Mapping[str, StateValue], facts: Facts, claim: Claim) -> Confirmation:
        """The child's verdict and objection; a fault, and the child killed, if it is late, gone or speaks oddly."""
        return self._confirmed(call, state, facts, claim.verdict, claim.updates)

    def confirm_success(
        self, call: Call, state: Mapping[str, StateValue], facts: Facts, updates: Mapping[str, Update]
    ) -> Confirmation:
        """The child's objection to the values of `on_success`; a fault, and the child killed, as for `confirm`."""
        return self._confirmed(call, state, facts, SUCCEED, updates)

    def _confirmed(
        self, call: Call, state: Mapping[str, StateValue], facts: Facts, verdict: str, updates: Mapping[str, Update]
    ) -> Confirmation:
        tool = self._contract.tool(call.tool)
        if tool is None:
            return Confirmation("fault", "the contract has no such tool", "fault.internal")
        named = self._named[tool.name]
        question = cast(
            "Json",
            {
                "tool": call.tool,
                "args": with_text_sizes(tool, call.args),
                "state": visible(state, named, names_of(named, call.args, facts)),
                "facts": dict(facts),
                "origins": {name: sorted(labels) for name, labels in call.origins.items()},
                "verdict": verdict,
                "updates": dict(updates),
            },
        )
        with self._lock:
            return self._ask(question)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: Json) -> Confirmation:
        try:
            child = self._running()
            deadline = time.monotonic() + self._deadline_s
            write_frame(_pipe(child.stdin), question, deadline)
            return _confirmation(read_frame(_pipe(child.stdout), deadline))
        except TimeoutError:
            self._kill()
            return Confirmation("fault", "the solver did not answer in time", "fault.solver_timeout")
        except (OSError, ValueError, EOFError, Fault) as error:
            self._kill()
            return Confirmation("fault", f"the solver process failed: {type(error).__name__}", "fault.solver_crash")
        except BaseException:
            # An interrupt between question and answer would leave the answer to be read as that to the next question.
            self._kill()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():
            # This process is a fork: the child belongs to the parent, whose questions and answers ours would mix with.
            self._child, self._owner = None, os.getpid()
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._kill()
        self._child = child = spawn()
        try:
            deadline = time.monotonic() + START_DEADLINE_S
            write_frame(_pipe(child.stdin), ir.to_json(self._contract), deadline)
            answer = read_frame(_pipe(child.stdout), deadline)
        except (TimeoutError, OSError, ValueError, EOFError) as error:
            self._kill()
            message = f"the solver process does not start: {type(error).__name__}"
            raise Fault(message, "fault.solver_crash") from error
        if answer != {"ready": ir.digest(self._contract)}:
            self._kill()
            message = "the solver process holds another contract"
            raise Fault(message, "fault.solver_crash")
        return child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                # Closing flushes what a dead child will never read.
                with contextlib.suppress(OSError):
                    pipe.close()


def engine_pair(contract: Contract, *, solver: bool = True, always_ask: bool = False) -> EnginePair:
    """Both engines for a contract and what it judges after a call; with `solver=False` the evaluator alone."""
    whole = staged(contract)
    second: Solver | None = SolverWorker(whole) if solver else None
    return EnginePair(Evaluator(whole), second, always_ask)


def engine_pairs(policy: Policy, *, solver: bool = True, always_ask: bool = False) -> dict[str, EnginePair]:
    """Both engines for each spec of a gate, by its name; each solver is a process of its own."""
    return {each.name: engine_pair(each, solver=solver, always_ask=always_ask) for each in policy.contracts}


def close_engines(engines: Mapping[str, EnginePair]) -> None:
    """End the solvers' processes."""
    for pair in engines.values():
        if isinstance(pair.solver, SolverWorker):
            pair.solver.close()


def with_text_sizes(tool: Tool, args: Mapping[str, Value]) -> dict[str, Value]:
    """The arguments as the solver is told of them: a text is its size, also inside of a record; the rest itself."""
    sorts = {a.name: sort_of(a.type) for a in tool.arguments}
    return {name: _sized(value, sorts[name]) for name, value in args.items()}


def _sized(value: Value, sort: ir.Sort) -> Value:
    match sort, value:
        case ir.TextSort(), str():
            return len(value)
        case ir.RecordSort(), Mapping():
            parts = {part.name: part.sort for part in sort.fields}
            return {name: _sized(item, parts[name]) for name, item in value.items()}
        case ir.ListSort(), tuple():
            return tuple(_sized(item, sort.item) for item in value)
        case _:
            return value


# --- frames ------------------------------------------------------------------------------------------


def write_frame(pipe: IO[bytes], message: Json, deadline: float | None = None) -> None:
    """Send one JSON document; TimeoutError at `deadline` (monotonic seconds; None: wait as long as it takes)."""
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=True).encode()
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    os.set_blocking(pipe.fileno(), False)
    while rest:
        _wait(pipe, select.POLLOUT, deadline)
        rest = rest[os.write(pipe.fileno(), rest) :]


def read_frame(pipe: IO[bytes], deadline: float | None = None) -> Json:
    """Receive one JSON document; TimeoutError at `deadline` (monotonic seconds), EOFError if the peer is gone."""
    (length,) = _LENGTH.unpack(_read_exactly(pipe, _LENGTH.size, deadline))
    if length > MAX_FRAME:
        message = "a frame is longer than any answer"
        raise ValueError(message)
    return cast("Json", json.loads(_read_exactly(pipe, length, deadline)))


def _read_exactly(pipe: IO[bytes], count: int, deadline: float | None) -> bytes:
    received = bytearray()
    while len(received) < count:
        _wait(pipe, select.POLLIN, deadline)
        chunk = os.read(pipe.fileno(), count - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)


def _wait(pipe: IO[bytes], event: int, deadline: float | None) -> None:
    """Wait until the pipe can be read or written. With `poll`: `select` fails on descriptors above 1,023."""
    poller = select.poll()
    poller.register(pipe, event)
    if not poller.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        message = "the solver process has no pipe"
        raise Fault(message, "fault.solver_crash")
    return pipe


def _confirmation(answer: Json) -> Confirmation:
    if not isinstance(answer, dict) or set(answer) != {"verdict", "objection"}:
        return Confirmation("fault", "the solver process answered oddly", "fault.solver_crash")
    verdict, objection = str(answer["verdict"]), str(answer["objection"])
    if verdict not in ir.VERDICTS:
        return Confirmation("fault", objection or "the solver does not decide", "fault.solver_unreduced")
    return Confirmation(cast("EngineVerdict", verdict), objection, "fault.disagreement" if objection else "")


def spawn(module: str = "sandbox.engines") -> subprocess.Popen[bytes]:
    """Start a module of this package as the child.

    `-P` keeps the current directory out of its import path: it may be a model's workspace.
    """
    package_root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package_root, inherited] if inherited else [package_root])
    return subprocess.Popen(  # noqa: S603 - our own interpreter, a module of this package
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        bufsize=0,
        start_new_session=True,
    )


# --- the child ---------------------------------------------------------------------------------------


def serve() -> None:
    """The child: receive the contract, then answer questions until stdin ends."""
    from sandbox.ground import GroundChecker  # noqa: PLC0415  # only the child loads the solver

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    frames: queue.SimpleQueue[Json] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(frames,), daemon=True).start()
    contract = cast("Contract", ir.from_json(frames.get()))
    checker = GroundChecker(contract)
    checker.prepare()
    write_frame(sys.stdout.buffer, {"ready": ir.digest(contract)})
    while True:
        question = frames.get()
        write_frame(sys.stdout.buffer, _answer(checker, question))


def _receive(frames: queue.SimpleQueue[Json]) -> None:
    """Read on a thread of its own, so that the end of the parent ends the child also in the middle of a check."""
    try:
        while True:
            frames.put(read_frame(sys.stdin.buffer))
    finally:
        os._exit(0)


def _answer(checker: object, message: Json) -> Json:
    from sandbox.ground import GroundChecker, Question  # noqa: PLC0415  # only the child loads the solver

    if not isinstance(checker, GroundChecker) or not isinstance(message, dict):
        return {"verdict": "fault", "objection": "the question is none"}
    try:
        fields = {key: _revive(value) for key, value in message.items()}
        answer = checker.answer(Question(**fields))  # type: ignore[arg-type]  # our own frames, checked by Question's use
    except Exception as error:  # noqa: BLE001  # whatever went wrong, the parent must hear `fault` and deny
        return {"verdict": "fault", "objection": f"the solver failed: {type(error).__name__}"}
    return {"verdict": answer.verdict, "objection": answer.objection}


def _revive(value: Json) -> object:
    """JSON as the values it was made of: lists were tuples."""
    if isinstance(value, list):
        return tuple(_revive(item) for item in value)
    if isinstance(value, dict):
        return {key: _revive(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    serve()
