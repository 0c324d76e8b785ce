"""The life of one container: created, inspected, attached, started, asked for a hello, given one call, removed.

`run_call` is all of it; the container is removed on every path out of there, and from the moment it is asked to start
the call counts as started. `make_ready` and `run_ready` are its two halves, for containers that wait for their call:
who makes one removes it, and the call counts as started when it is sent.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from sandbox.call import Call, Outcome
from sandbox.errors import SandboxFailure
from sandbox.execute.config import ContainerConfig, Placement, gvisor_runtime, verify_effects
from sandbox.execute.engine import Attachment, Ended, Engine, new_name
from sandbox.execute.gvisor import in_our_words
from sandbox.execute.protocol import (
    END,
    HELLO,
    KEY_SIZE,
    STDOUT,
    Ending,
    Exceeded,
    Frame,
    FrameReader,
    Raised,
    Returned,
    call_frame,
    one_line,
    read_ending,
)
from sandbox.ir import Json, Tool

START_TIMEOUT_S: Final = 60
"""From start to hello: 50 ms as a rule, seconds on a machine that is busy starting others."""

SEND_TIMEOUT_S: Final = 10
"""For a call of a few MiB to a runner that reads it at once."""

KILLED: Final = 137
"""The exit code of a first process that was killed (128 + SIGKILL)."""

LATE_S: Final = 0.3
LATE_POLL_S: Final = 0.02
"""For the engine to learn of a want of memory after it has learned of the end."""

Stop: TypeAlias = Literal["", "late", "gone", "flood"]


@dataclass(frozen=True, slots=True)
class Ready:
    """A container that is as asked by both accounts, has said hello, and waits for its one call."""

    container: str
    config: ContainerConfig
    stream: Attachment
    reader: FrameReader


@dataclass(slots=True)
class Observation:
    """What was seen of a call, filled in as it happens, so that a failure in the middle keeps what is known."""

    started: bool = False
    ending: Ending | None = None
    stop: Stop = ""
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    out_of_memory: bool = False
    kernel_told: bool = False
    exit_code: int | None = None
    duration_ms: int = 0
    diagnostics: str = ""
    failure: SandboxFailure | None = None


def run_call(
    engine: Engine,
    config: ContainerConfig,
    placement: Placement,
    call: Call,
    tool: Tool,
    *,
    name: str = "",
    before_call: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs the call in a container of its own (`name`); when this returns, or raises, the container is gone.

    `before_call` waits for what the call needs beside its container; a SandboxFailure of it ends the call unbegun.
    """
    seen = Observation()
    with _failures(seen):
        _observe(engine, config, placement, call, tool, seen, name or new_name(), before_call)
    return _judge(seen, config)


def make_ready(engine: Engine, config: ContainerConfig, placement: Placement, name: str) -> Ready:
    """A new container that waits for its call. Removing `name` is the caller's task, also where this raises.

    Raises:
        SandboxFailure: the engine failed, or the container is not as asked; its stream is closed.
    """
    container = engine.make(config, placement, name)
    engine.verify(config, placement, container)
    stream = engine.attach(container)
    try:
        engine.start(container)
        return Ready(container, config, stream, _greet(engine, container, stream, config))
    except BaseException as error:
        stream.close()
        if isinstance(error, SandboxFailure) and stream.diagnostics:
            said = stream.diagnostics.decode("utf-8", "replace")
            raise SandboxFailure(one_line(f"{error}: {said}"), error.reason_code) from error
        raise


def run_ready(engine: Engine, ready: Ready, call: Call, tool: Tool) -> Outcome:
    """Gives the waiting container its call. Its stream is closed then; removing it is the caller's task."""
    seen = Observation()
    with _failures(seen), _heard(ready.stream, seen):
        _converse(ready.stream, ready.reader, ready.config, call, tool, seen)
        if seen.stop or not seen.kernel_told:  # else the engine adds nothing but the time that it takes to answer
            _look_back(engine, ready.container, seen)
    return _judge(seen, ready.config)


@contextlib.contextmanager
def _failures(seen: Observation) -> Iterator[None]:
    """Keeps a failure of ours as what was seen."""
    try:
        yield
    except SandboxFailure as failure:
        seen.failure = failure


@contextlib.contextmanager
def _heard(stream: Attachment, seen: Observation) -> Iterator[Attachment]:
    """The stream, closed in the end, and what the runner itself had to say kept."""
    with contextlib.closing(stream):
        try:
            yield stream
        finally:
            seen.diagnostics = stream.diagnostics.decode("utf-8", "replace")


def _observe(  # noqa: PLR0917  # a call is these eight things
    engine: Engine,
    config: ContainerConfig,
    placement: Placement,
    call: Call,
    tool: Tool,
    seen: Observation,
    name: str,
    before_call: Callable[[], None],
) -> None:
    with _created(engine, config, placement, name) as container:
        engine.verify(config, placement, container)
        with _heard(engine.attach(container), seen) as stream:
            seen.started = True
            engine.start(container)
            reader = _greet(engine, container, stream, config)
            before_call()
            _converse(stream, reader, config, call, tool, seen)
            _look_back(engine, container, seen)


@contextlib.contextmanager
def _created(engine: Engine, config: ContainerConfig, placement: Placement, name: str) -> Iterator[str]:
    try:
        yield engine.make(config, placement, name)
    finally:
        engine.remove(name)


def _greet(engine: Engine, container: str, stream: Attachment, config: ContainerConfig) -> FrameReader:
    """Hears the hello and compares what it tells with what was asked for."""
    reader = FrameReader(config.output)
    effects = engine.seen(_read_hello(_hello(stream, reader)))
    if config.isolation == "gvisor":
        effects = in_our_words(effects, engine.process(container), gvisor_runtime(config), container)
    verify_effects(config, effects)
    engine.verify_confined(config, effects)
    return reader


def _converse(  # noqa: PLR0917  # as above
    stream: Attachment, reader: FrameReader, config: ContainerConfig, call: Call, tool: Tool, seen: Observation
) -> None:
    key = secrets.token_bytes(KEY_SIZE)
    frame = call_frame(call, tool, key)
    reader.key = key
    begun = time.monotonic()
    seen.started = True
    stream.send(frame, begun + SEND_TIMEOUT_S)
    try:
        _listen(stream, reader, config, begun + config.timeout_ms / 1000, seen)
    finally:
        seen.duration_ms = round((time.monotonic() - begun) * 1000)


def _hello(stream: Attachment, reader: FrameReader) -> bytes:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        data = stream.receive(deadline)
        if data is None or data == "late":
            message = "the container did not start as it should"
            raise SandboxFailure(message, "sandbox_failure.start")
        match reader.feed(data):
            case []:
                continue
            case [Frame(kind=kind, payload=payload)] if kind == HELLO:
                return payload
            case _:
                message = "the container spoke before it was asked"
                raise SandboxFailure(message, "sandbox_failure.protocol")


def _read_hello(payload: bytes) -> Mapping[str, Json]:
    try:
        effects = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _not_a_hello() from error
    if not isinstance(effects, dict):
        raise _not_a_hello()
    return effects


def _not_a_hello() -> SandboxFailure:
    return SandboxFailure("the container's hello is none", "sandbox_failure.protocol")


def _listen(
    stream: Attachment, reader: FrameReader, config: ContainerConfig, deadline: float, seen: Observation
) -> None:
    while seen.ending is None and not seen.stop:
        data = stream.receive(deadline)
        if data == "late" or time.monotonic() >= deadline:
            seen.stop = "late"
        elif data is None:
            seen.stop = "gone"
        else:
            for frame in reader.feed(data):
                _take(frame, config, seen)


def _take(frame: Frame, config: ContainerConfig, seen: Observation) -> None:
    if frame.kind == END:
        seen.ending, kills = read_ending(frame.payload, config.output)
        seen.out_of_memory, seen.kernel_told = kills > 0, kills >= 0
        return
    if len(seen.stdout) + len(seen.stderr) + len(frame.payload) > config.output:
        seen.stop = "flood"
        return
    target = seen.stdout if frame.kind == STDOUT else seen.stderr
    target += frame.payload


def _look_back(engine: Engine, container: str, seen: Observation) -> None:
    """Stops what still runs, and asks the engine how it ended."""
    match seen.stop:
        case "late" | "flood":
            engine.kill(container)
        case "gone":
            ended = engine.wait(container)
            seen.exit_code = ended.exit_code
            seen.out_of_memory = seen.out_of_memory or ended.out_of_memory or _was_starved(engine, container, ended)
        case "":
            seen.out_of_memory = seen.out_of_memory or engine.was_out_of_memory(container)


def _was_starved(engine: Engine, container: str, ended: Ended) -> bool:
    """Whether the engine learns late that it was want of memory which killed the first process."""
    deadline = time.monotonic() + LATE_S
    while ended.exit_code == KILLED and time.monotonic() < deadline:
        if engine.was_out_of_memory(container):
            return True
        time.sleep(LATE_POLL_S)
    return False


def _judge(seen: Observation, config: ContainerConfig) -> Outcome:
    if seen.failure is not None:
        reason = one_line(f"{seen.failure}{': ' if seen.diagnostics else ''}{seen.diagnostics}")
        return _outcome(seen, "sandbox_failure", seen.failure.reason_code, reason)
    if seen.stop == "late":
        return _outcome(seen, "timeout", "limit.time", f"the call took longer than {config.timeout_ms} ms")
    if seen.out_of_memory:
        return _outcome(
            seen, "out_of_memory", "limit.memory", f"the call needed more than {config.memory} bytes of memory"
        )
    if seen.stop == "flood":
        return _flooded(seen, config, "output")
    match seen.ending:
        case Returned(result=result):
            outcome = _outcome(seen, "ok", "ok", "")
            return Outcome(
                "ok", "ok", "", result, outcome.stdout, outcome.stderr, duration_ms=seen.duration_ms, exit_code=0
            )
        case Raised(reason=reason, exit_code=code):
            seen.exit_code = code
            return _outcome(seen, "error", "tool.error", reason)
        case Exceeded(what=what):
            return _flooded(seen, config, what)
        case None if seen.exit_code == KILLED:
            return _outcome(seen, "killed", "sandbox_failure.killed", "the container was killed from outside")
        case None:
            reason = one_line(f"the runner in the container ended early: {seen.diagnostics or seen.exit_code}")
            return _outcome(seen, "sandbox_failure", "sandbox_failure.runner", reason)


def _flooded(seen: Observation, config: ContainerConfig, what: Literal["output", "result"]) -> Outcome:
    reason = f"the call's {what} is larger than {config.output} bytes"
    return _outcome(seen, "output_limit", f"limit.{what}", reason)


def _outcome(
    seen: Observation,
    status: Literal["ok", "error", "timeout", "out_of_memory", "output_limit", "killed", "sandbox_failure"],
    reason_code: str,
    reason: str,
) -> Outcome:
    return Outcome(
        status,
        reason_code,
        reason,
        stdout=seen.stdout.decode("utf-8", "backslashreplace"),
        stderr=seen.stderr.decode("utf-8", "backslashreplace"),
        truncated=reason_code == "limit.output",
        duration_ms=seen.duration_ms,
        started=seen.started,
        exit_code=seen.exit_code,
    )
