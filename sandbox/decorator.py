"""`@sandboxed`: a function of your own as the front of a tool that a spec describes.

Calling the decorated function makes a raw call and sends it through the gate. What runs is what the spec's `run`
names: where that is this very function, its module runs in the container and this process never calls the body;
where it names something else, the body must be `...`; `run: {host: REASON}` keeps the callable, inside the gate.

Of a container tool the raw function is dropped: nothing that is returned leads to it. Of a host tool the gate holds
it, and here Python's limits end: code in the same process that is hostile can find any object (`gc`, frames).
"""

from __future__ import annotations

import dis
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from types import FunctionType
from typing import Final, ParamSpec, TypeVar, cast

from sandbox.adapters.origins import said_origins
from sandbox.compile import SpecPaths, load_policy
from sandbox.errors import UsageError
from sandbox.execute.source import resolve_source
from sandbox.gate import Gate
from sandbox.ir import Contract, RunArgv, RunHost, RunTool, Tool
from sandbox.policy import Policy
from sandbox.session import Session, SessionSource, current

P = ParamSpec("P")
R = TypeVar("R")

_STUB_INSTRUCTIONS: Final = frozenset(
    {"RESUME", "NOP", "CACHE", "LOAD_CONST", "POP_TOP", "RETURN_VALUE", "RETURN_CONST", "RETURN_GENERATOR"}
    | {"CALL_INTRINSIC_1", "RERAISE"}  # around every coroutine from Python 3.12 on
)
"""What `...` compiles to, also in a coroutine; no computation can be written with these alone."""

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def sandboxed(
    gate: Gate | SpecPaths, *, tool: str | None = None, session: SessionSource = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make the decorated function (sync, async, a generator) a call of `tool`, by default the one of its name.

    Given a path (or several), the specs are loaded now and their gate opened at the first call. `session` has the
    session's facts, or returns them at the time of a call; a `Saying` says where the values come from, too.

    Raises UsageError at decoration: no such tool, parameters that are not the spec's arguments, a body that would
    never run, a generator that is no host tool; and SpecError for a wrong spec.
    """
    policy = gate.policy if isinstance(gate, Gate) else load_policy(gate)
    opener = _Opener(gate)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        declared = _declared(policy, function, tool)
        signature = _checked_signature(function, declared)
        _check_body(function, declared, policy)
        if declared.run is not None and isinstance(declared.run.what, RunHost):
            opener.attach(declared.name, function)
        call = _Maker(declared.name, signature, session)
        return cast("Callable[P, R]", _dressed(_front_for(function)(opener, call), function, signature))

    return decorate


class _Opener:
    """The gate, opened once and when first needed; host callables wait here only until then."""

    def __init__(self, gate: Gate | SpecPaths) -> None:
        self._gate = gate
        self._waiting: list[tuple[str, Callable[..., object]]] = []
        self._lock = threading.Lock()

    def gate(self) -> Gate:
        with self._lock:
            if not isinstance(self._gate, Gate):
                opened = Gate.open(self._gate)
                for tool, function in self._waiting:
                    opened.attach(tool, function)
                self._waiting.clear()
                self._gate = opened
            return self._gate

    def attach(self, tool: str, function: Callable[..., object]) -> None:
        with self._lock:
            if isinstance(self._gate, Gate):
                self._gate.attach(tool, function)
            else:
                self._waiting.append((tool, function))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes raw calls of one tool from a function's arguments, with the session's facts of that moment."""

    tool: str
    signature: inspect.Signature
    session: SessionSource

    def __call__(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[dict[str, object], Session]:
        return raw_call(self.tool, self.signature.bind(*args, **kwargs).arguments), current(self.session)


def _front_for(function: Callable[..., object]) -> Callable[[_Opener, _Maker], Callable[..., object]]:
    if inspect.iscoroutinefunction(function):
        return _async_front
    if inspect.isasyncgenfunction(function):
        return _async_items_front
    return _items_front if inspect.isgeneratorfunction(function) else _front


def _front(opener: _Opener, make: _Maker) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        gate, (raw, session) = opener.gate(), make(args, kwargs)
        return gate.call(raw, session, origins=said_origins(gate, make.session, raw)).value

    return call


def _async_front(opener: _Opener, make: _Maker) -> Callable[..., object]:
    async def call(*args: object, **kwargs: object) -> object:
        gate, (raw, session) = opener.gate(), make(args, kwargs)
        return (await gate.acall(raw, session, origins=said_origins(gate, make.session, raw))).value

    return call


def _items_front(opener: _Opener, make: _Maker) -> Callable[..., object]:
    """Of a generator: one call, made when its first item is asked for, whose items are yielded once it has ended."""

    def call(*args: object, **kwargs: object) -> object:
        raw, session = make(args, kwargs)

        def items() -> Iterator[object]:
            gate = opener.gate()
            origins = said_origins(gate, make.session, raw)
            yield from cast("list[object]", gate.call(raw, session, origins=origins).value)

        return items()

    return call


def _async_items_front(opener: _Opener, make: _Maker) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        raw, session = make(args, kwargs)

        async def items() -> AsyncIterator[object]:
            gate = opener.gate()
            origins = said_origins(gate, make.session, raw)
            for item in cast("list[object]", (await gate.acall(raw, session, origins=origins)).value):
                yield item

        return items()

    return call


def raw_call(tool: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """A raw call from Python values: decimals, paths and times as text, enum members as their value."""
    return {"tool": tool, "args": {name: _raw_value(value) for name, value in arguments.items()}}


def _raw_value(value: object) -> object:
    match value:
        case Enum():
            return _raw_value(value.value)
        case Decimal() if value.is_finite():
            return format(value, "f")
        case PurePath():
            return str(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"{value // timedelta(milliseconds=1)}ms"
        case list() | tuple():
            return [_raw_value(item) for item in value]
        case dict():
            return {key: _raw_value(item) for key, item in value.items()}
        case _:
            return value


def _declared(policy: Policy, function: Callable[..., object], name: str | None) -> Tool:
    wanted = name or str(getattr(function, "__name__", ""))
    declared = policy.tool(wanted)
    if declared is None:
        known = ", ".join(f"`{tool.name}`" for tool in policy.tools) or "none"
        message = f"{policy.named()} has no tool `{wanted}` (it has {known}); name one with `tool=`"
        raise UsageError(message)
    return declared


def _checked_signature(function: Callable[..., object], tool: Tool) -> inspect.Signature:
    """The function's parameters, which must be the tool's arguments: same names, defaults only where optional."""
    if not isinstance(function, FunctionType):
        message = f"`@sandboxed` decorates plain functions, not `{type(function).__name__}`"
        raise UsageError(message)
    on_host = tool.run is not None and isinstance(tool.run.what, RunHost)
    if (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)) and not on_host:
        message = f"`{function.__name__}` is a generator; a tool that runs in a container returns one result"
        raise UsageError(message)
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind not in _NAMED:
            message = f"`{function.__name__}` takes `{parameter}`; a tool takes named arguments only"
            raise UsageError(message)
    _check_names(function.__name__, signature, tool)
    return signature


def _check_names(name: str, signature: inspect.Signature, tool: Tool) -> None:
    declared = {argument.name: argument for argument in tool.arguments}
    unknown = sorted(set(signature.parameters) - set(declared))
    missing = sorted(set(declared) - set(signature.parameters))
    if unknown or missing:
        parts = [f"unknown {', '.join(f'`{n}`' for n in unknown)}"] * bool(unknown)
        parts += [f"missing {', '.join(f'`{n}`' for n in missing)}"] * bool(missing)
        message = f"the parameters of `{name}` are not the arguments of tool `{tool.name}`: {'; '.join(parts)}"
        raise UsageError(message)
    for argument in tool.arguments:
        has_default = signature.parameters[argument.name].default is not inspect.Parameter.empty
        may_be_absent = argument.optional or argument.default is not None
        if has_default != may_be_absent:
            remedy = "needs a default: it is optional" if may_be_absent else "may have no default: it is required"
            message = f"`{argument.name}` of `{name}` {remedy} in tool `{tool.name}`"
            raise UsageError(message)


def _check_body(function: Callable[..., object], tool: Tool, policy: Policy) -> None:
    """Refuse a body that reads as if it ran and never would."""
    what = tool.run.what if tool.run is not None else None
    if isinstance(what, RunHost):
        return
    shared = policy.shared(tool.name)
    owner = shared.owner if shared is not None else None
    if isinstance(what, RunTool) and owner is not None and _is_that_function(function, what, owner, tool):
        return
    if _is_stub(cast("FunctionType", function)):
        return
    runs = {RunTool: "another function", RunArgv: "a program"}.get(type(what), "nothing")
    message = (
        f"the body of `{function.__qualname__}` would never run: the spec runs {runs} for `{tool.name}`; "
        "write `...` as its body, or name this function in `run.tool`"
    )
    raise UsageError(message)


def _is_that_function(function: Callable[..., object], what: RunTool, contract: Contract, tool: Tool) -> bool:
    """Whether `run.tool` names this very function: its name, and the file that the spec's look-up finds."""
    if function.__qualname__ != what.function or tool.run is None:
        return False
    origin = resolve_source(contract, tool.run).origin
    source = inspect.getsourcefile(function)
    if origin is None or source is None:
        return False
    module = origin.parent.joinpath(*what.module.split("."))
    own = Path(source).resolve()
    return own in {module.with_name(f"{module.name}.py").resolve(), (module / "__init__.py").resolve()}


def _is_stub(function: FunctionType) -> bool:
    """Whether the body is `...`, with or without a docstring."""
    for instruction in dis.get_instructions(function):
        if instruction.opname not in _STUB_INSTRUCTIONS:
            return False
        if instruction.opname in {"LOAD_CONST", "RETURN_CONST"} and instruction.argval is not None:
            return False
    return True


def _dressed(
    front: Callable[..., object], function: Callable[..., object], signature: inspect.Signature
) -> Callable[..., object]:
    """Name, documentation and signature of the function; never `__wrapped__`, which would lead to it."""
    front.__name__ = function.__name__
    front.__qualname__ = function.__qualname__
    front.__doc__ = function.__doc__
    front.__module__ = function.__module__
    front.__annotations__ = dict(function.__annotations__)
    front.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect.signature` reads
    return front
