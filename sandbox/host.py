"""Host callables: tools that the spec marks `run: {host: REASON}`, run in this process after the same permit.

There is no containment here, and the receipt says so (`isolation: host`). A callable that hangs cannot be
stopped: Python has no way to end a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Never, TypeAlias

from sandbox import ir
from sandbox.call import Call, Outcome, Permit
from sandbox.errors import UsageError
from sandbox.execute.protocol import one_line, read_result
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.handed import python_arguments
from sandbox.ir import (
    Contract,
    Json,
    RunHost,
    Tool,
)


@dataclass(frozen=True, slots=True)
class WholeCall:
    """What runs for a host tool that is given the permitted call itself, and not its arguments by name."""

    run: Callable[[Call, Tool], object]


HostFunction: TypeAlias = Callable[..., object] | WholeCall


class HostRunner:
    """Runs the callables that were attached to it. It holds the only reference that the package keeps."""

    def __init__(self) -> None:
        self._functions: dict[str, HostFunction] = {}

    def attach(self, tool: Tool, function: HostFunction) -> None:
        """Make `function` what runs for `tool`; once, and only where the spec says `run: {host: ...}`."""
        if tool.run is None or not isinstance(tool.run.what, RunHost):
            message = f"`{tool.name}` has no `run: {{host: ...}}` in its spec: nothing of it runs on the host"
            raise UsageError(message)
        if tool.run.min_isolation != "container":
            message = f"`{tool.name}` asks for min_isolation `{tool.run.min_isolation}`, which the host is not"
            raise UsageError(message)
        if tool.name in self._functions:
            message = f"`{tool.name}` has a host callable already"
            raise UsageError(message)
        self._functions[tool.name] = function

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """What the permit binds: the run settings, and the source file of the callable."""
        _ = contract
        function = self._function(tool)
        return Prepared(
            run_digest=ir.digest(tool.run), image_digest="", source_digest=_source_digest(function), runtime="host"
        )

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Call the callable with the canonical values of the permit's call; its exception is the outcome `error`."""
        _ = contract, now_ms, judge
        function = self._function(tool)
        limit = tool.run.output if tool.run is not None else 0
        started = time.monotonic_ns()
        try:
            answer = _run(function, permit.call, tool)
            if inspect.isawaitable(answer) or inspect.isasyncgen(answer):
                answer = asyncio.run(_awaited(answer, _items_within(limit)))
            if inspect.isgenerator(answer):
                answer = _taken(answer, _items_within(limit))
        except TooManyError as error:
            return _ended(started, "error", "limit.result", str(error))
        except Exception as error:  # noqa: BLE001  # the tool's own failure, whatever it is, is an outcome
            return _ended(started, "error", "tool.error", one_line(f"{type(error).__name__}: {error}"))
        try:
            result = _as_json(answer, limit)
        except (TypeError, ValueError, RecursionError) as error:
            return _ended(started, "error", "limit.result", one_line(f"no JSON result: {error}"))
        return _ended(started, "ok", "ok", "", result)

    def _function(self, tool: Tool) -> HostFunction:
        function = self._functions.get(tool.name)
        if function is None:
            message = f"`{tool.name}` runs on the host and no callable is attached; decorate it with `@sandboxed(gate)`"
            raise UsageError(message)
        return function


def _run(function: HostFunction, call: Call, tool: Tool) -> object:
    return function.run(call, tool) if isinstance(function, WholeCall) else function(**python_arguments(call, tool))


class TooManyError(Exception):
    """A generator yields more than can be a result. The message is one line."""


def _items_within(limit: int) -> int:
    """How many items a list of so many bytes can have, each a digit and a comma."""
    return limit // 2


async def _awaited(answer: object, most: int) -> object:
    if inspect.isawaitable(answer):
        answer = await answer
    if not inspect.isasyncgen(answer):
        return answer
    items: list[object] = []
    try:
        async for item in answer:
            items.append(item)
            _check_count(items, most)
    finally:
        await answer.aclose()
    return items


def _taken(answer: Generator[object, Never, object], most: int) -> list[object]:
    """All that a generator yields: it runs to its end here, within the call, or is closed at the limit."""
    items: list[object] = []
    with contextlib.closing(answer):
        for item in answer:
            items.append(item)
            _check_count(items, most)
    return items


def _check_count(items: list[object], most: int) -> None:
    if len(items) > most:
        message = f"the generator yields more than {most:,} items, which is more than `output` allows"
        raise TooManyError(message)


def _as_json(answer: object, limit: int) -> Json:
    return read_result(json.dumps(answer, allow_nan=False), limit)


def _ended(started_ns: int, status: str, reason_code: str, reason: str, result: Json = None) -> Outcome:
    duration = (time.monotonic_ns() - started_ns) // 1_000_000
    return Outcome("ok" if status == "ok" else "error", reason_code, reason, result=result, duration_ms=duration)


def _source_digest(function: HostFunction) -> str:
    body = function.run if isinstance(function, WholeCall) else function
    try:
        source = inspect.getsourcefile(inspect.unwrap(body))
    except TypeError:
        return ""
    if source is None or not Path(source).is_file():
        return ""
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
