"""One tool of a spec as a framework may hold it: name, description, schema, and one way to run it, through the gate.

Every adapter is a thin shape around a `Front`. It keeps no raw callable; arguments go to the gate as the model wrote
them, where the framework still has that text, and are parsed there for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn, Protocol, TypeAlias, TypeVar, cast

from sandbox.adapters.origins import said_origins
from sandbox.adapters.schema import arguments_schema
from sandbox.adapters.telling import Answer, done, failed, refused, waiting
from sandbox.adapters.ticket import Answered, Ticket, new_ticket
from sandbox.call import Decision
from sandbox.canonical import canonical_json
from sandbox.errors import ApprovalNeeded, Denied, ToolError, UsageError
from sandbox.gate import Gate, Raw, wall_clock
from sandbox.host import HostFunction
from sandbox.ir import Json, RunHost, Tool
from sandbox.knowledge import OriginsTold
from sandbox.session import Session, SessionSource, current

Arguments: TypeAlias = Mapping[str, object] | str | bytes
"""A call's arguments: as the model's own JSON text, or as the framework has read them."""

MAX_ARGUMENTS: Final = 4 * 1024 * 1024
"""Bytes of one call's arguments; a longer text is not even copied."""


class Front:
    """One tool behind the gate. Safe to share between threads; copies are itself, and it cannot be pickled."""

    __slots__ = ("__gate", "__session", "__tool", "description", "name")

    def __init__(self, gate: Gate, tool: Tool, description: str, session: SessionSource) -> None:
        self.__gate = gate
        self.__tool = tool
        self.__session = session
        self.name = tool.name
        self.description = description

    def schema(self) -> dict[str, Json]:
        """The JSON Schema of the arguments: it admits every call that the spec can allow."""
        return arguments_schema(self.__tool)

    def call(self, arguments: Arguments, answered: Answered | None = None) -> Answer:
        """Take a call the whole way. `answered` is what people said while the run was paused.

        Raises EnvironmentLacking and Fault: they are the operator's matter and not the model's.
        """
        raw, session = self.__raw(arguments), current(self.__session)
        if answered is not None and (turned := _turned_down(answered, session)) is not None:
            return turned
        given, origins = None if answered is None else answered.given(), self.__origins(raw)
        try:
            return done(self.__gate.call(raw, session, given=given, origins=origins).outcome)
        except (Denied, ApprovalNeeded, ToolError) as error:
            return self.__told(error, raw, session, origins)

    async def acall(self, arguments: Arguments, answered: Answered | None = None) -> Answer:
        """As `call`, in a thread; a run that is cancelled meanwhile still settles and is recorded."""
        raw, session = self.__raw(arguments), current(self.__session)
        if answered is not None and (turned := _turned_down(answered, session)) is not None:
            return turned
        given, origins = None if answered is None else answered.given(), self.__origins(raw)
        try:
            return done((await self.__gate.acall(raw, session, given=given, origins=origins)).outcome)
        except (Denied, ApprovalNeeded, ToolError) as error:
            return self.__told(error, raw, session, origins)

    def ticket(self, arguments: Arguments) -> Ticket | None:
        """The ticket of a call that, as things stand, waits for a person; None for any other. Runs nothing."""
        raw, session = self.__raw(arguments), current(self.__session)
        decision = self.__gate.decide(raw, session, origins=self.__origins(raw))
        return self.__ticket(decision, session) if decision.verdict == "ask" else None

    def __raw(self, arguments: Arguments) -> Raw:
        """The raw call. The arguments' text is not read here: the gate's parser refuses what is more than they."""
        if isinstance(arguments, Mapping):
            return {"tool": self.name, "args": dict(arguments)}
        text = arguments.encode("utf-8", "surrogatepass") if isinstance(arguments, str) else arguments
        if len(text) > MAX_ARGUMENTS:
            return b"["  # refused as what it is: no JSON that could be read
        return b'{"tool":' + canonical_json(cast("Json", self.name)).encode() + b',"args":' + text + b"}"

    def __origins(self, raw: Raw) -> OriginsTold | None:
        return said_origins(self.__gate, self.__session, raw)

    def __told(
        self, error: Denied | ApprovalNeeded | ToolError, raw: Raw, session: Session, origins: OriginsTold | None
    ) -> Answer:
        match error:
            case Denied():
                known = error.decision.call is not None
                hints = self.__gate.nearest(raw, session, origins=origins) if known else ()
                return refused(error.decision, hints, self.__tool)
            case ApprovalNeeded():
                return waiting(error.decision, self.__ticket(error.decision, session))
            case ToolError():
                return failed(error)

    def __ticket(self, decision: Decision, session: Session) -> Ticket:
        basis = self.__gate.basis(decision)
        return new_ticket(decision, wall_clock(), basis=basis, principal=_principal(session))

    def __copy__(self) -> Front:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Front:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a tool behind a gate cannot be pickled; wrap it where it is needed"
        raise TypeError(message)


def _turned_down(answered: Answered, session: Session) -> Answer | None:
    """The refusal of a call that people refused, or approved for somebody else; None where they approved this one."""
    if answered.refused_by:
        return Answer("denied", f"denied (approval.refused): refused by {answered.refused_by}. It did not run.")
    if answered.ticket.principal != _principal(session):
        said = "what was approved is the same call of another principal's; ask people anew"
        return Answer("denied", f"denied (approval.refused): {said}. It did not run.")
    return None


def _principal(session: Session) -> str:
    """Whose call it is, as the host says; '' where it does not."""
    return str(session.get("principal", ""))


def fronts(gate: Gate, session: SessionSource = None) -> tuple[Front, ...]:
    """A front for each tool of the gate's spec that can run, in the order of the spec."""
    tools = (tool for tool in gate.policy.tools if tool.run is not None)
    return tuple(Front(gate, tool, tool.description or tool.name, session) for tool in tools)


class Described(Protocol):
    """A framework's own tool, as far as all of them are alike."""

    @property
    def name(self) -> str:
        """Which tool of the spec it stands for."""
        ...

    @property
    def description(self) -> str | None:
        """What it does, where the spec does not say it."""
        ...


_Own = TypeVar("_Own", bound=Described)


def fronts_for(
    gate: Gate,
    tools: Sequence[object] | None,
    session: SessionSource,
    checked: Callable[[object], _Own],
    host_of: Callable[[_Own], Callable[[], HostFunction]],
) -> tuple[Front, ...]:
    """The fronts that a `wrap` is about: one for each given tool, or `fronts` where none are given.

    `checked` raises UsageError for what is no tool that could be judged, `host_of` is for `stand_in`.
    """
    if tools is None:
        return fronts(gate, session)
    given = [checked(tool) for tool in tools]
    refuse_duplicates(tool.name for tool in given)
    return tuple(stand_in(gate, each.name, each.description or "", session, host_of(each)) for each in given)


def stand_in(
    gate: Gate, name: str, description: str, session: SessionSource, host: Callable[[], HostFunction]
) -> Front:
    """A front for the spec's tool of a framework's own tool.

    `host` makes what runs where the spec says `run: {host: REASON}`; else the framework's tool is not even kept.
    UsageError where the spec has no such tool, or no `run` for it.
    """
    declared = gate.policy.tool(name)
    if declared is None or declared.run is None:
        lacks = "no such tool" if declared is None else "no `run` for it"
        message = f"`{name}`: the spec {gate.policy.named()} has {lacks}"
        raise UsageError(message)
    if isinstance(declared.run.what, RunHost):
        gate.attach(name, host())
    return Front(gate, declared, declared.description or description or name, session)


def refuse_duplicates(names: Iterable[str]) -> None:
    """UsageError where a name stands twice: in most frameworks the later tool wins, silently."""
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        message = f"given more than once: {', '.join(f'`{name}`' for name in twice)}; the later one would win"
        raise UsageError(message)


def refuse_unseen(name: str, where: str) -> NoReturn:
    """UsageError for a tool that runs where no gate can see it."""
    message = f"`{name}` {where}, where no gate can see it; leave it out"
    raise UsageError(message)
