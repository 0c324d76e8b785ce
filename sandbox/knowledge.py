"""What a gate knows of where values come from, session by session.

It is learned before a result leaves the gate, and asked before any engine judges.
Only a gate whose specs ask for an origin knows anything; for every other nothing of this happens. What is not to be
had, because a session has seen too much or a key is lost, denies: a value that would count as unknown is one of which
nothing was ever known, and never one that was forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from sandbox.call import NOTHING_KNOWN, Call, Origins, Outcome
from sandbox.canonical import quoted
from sandbox.errors import UsageError
from sandbox.ir import Argument, Json, Tool
from sandbox.known_values import (
    Given,
    Leaf,
    TooDeepError,
    leaves,
    mark_of_whole,
    marks_of,
    marks_of_argument,
    readings,
)
from sandbox.lang.suggest import near_miss
from sandbox.origins import USER, labels_of, origins_asked, tool_label
from sandbox.policy import Policy
from sandbox.seal import Seal

if TYPE_CHECKING:
    from sandbox.state import Transaction

MAX_LEAVES: Final = 20_000
"""Single values of one result that are learned; of one that has more, the session is full at once."""

FULL: Final = "origin.full"
WRONG: Final = "origin.wrong"
_DIGITS: Final = 32
"""Hex digits of a mark's keyed digest: 128 bits."""

Labelled: TypeAlias = tuple[Leaf, frozenset[str]]
OriginsTold: TypeAlias = Mapping[str, Collection[str] | str]
"""What the host says of a call: a label, or several, by the name of an argument."""


class OriginsRefusedError(Exception):
    """The origins of a call are not to be had, which denies it. `reason` is one printable line."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Told:
    """Whose values these are (the session's name, '' where it has none), and what the host says of this very call."""

    session: str = ""
    origins: Origins = field(default_factory=dict)
    earlier: Origins = field(default_factory=dict)


class Knowledge:
    """Of one gate. Thread-safe: everything it knows is in the state, read and written in the caller's transaction."""

    def __init__(self, policy: Policy, seal: Seal | None) -> None:
        if seal is None and asks_origins(policy):
            message = "a spec asks for origins, and there is no key for what is known of them"
            raise UsageError(message)
        self._policy = policy
        self._seal = seal if asks_origins(policy) else None
        self._labels = tuple(dict.fromkeys(label for each in policy.contracts for label in labels_of(each)))
        self._asked = {tool.name: asked_of(policy, tool.name) for tool in policy.tools}
        self._readings = readings(
            argument for tool in policy.tools for argument in tool.arguments if argument.name in self._asked[tool.name]
        )

    @property
    def asked(self) -> bool:
        """Whether any spec asks for an origin."""
        return self._seal is not None

    def told(self, session: str, origins: OriginsTold | None) -> Told:
        """What the host says of a call, read. Raises UsageError for a label that no spec can speak of, and for none."""
        told = {} if origins is None else origins
        if not isinstance(told, Mapping) or not all(isinstance(name, str) for name in told):
            message = "origins are told as a mapping from an argument's name to a label, or to several"
            raise UsageError(message, WRONG)
        return Told(session, {name: self._read(labels) for name, labels in told.items()})

    def open(self, transaction: Transaction) -> None:
        """Make the state ready, where any spec asks for an origin."""
        if self._seal is not None:
            transaction.origins.prepare(self._seal.digest("origin key", ""))

    # --- asking --------------------------------------------------------------------------------------

    def with_origins(self, transaction: Transaction, call: Call, told: Told) -> Call:
        """The call with the origins of every argument of which a rule asks one.

        Raises OriginsRefusedError where they are not to be had, or the host speaks of an argument that there is not.
        """
        asked = self._checked(call, told)
        if not asked or self._seal is None:
            return replace(call, origins={})
        session = _session_digest(told.session)
        if transaction.origins.is_full(session):
            raise OriginsRefusedError(FULL, TOO_MUCH)
        known = self._known(transaction, session, call, asked)
        return replace(call, origins={name: _joined(labels, name, told) for name, labels in known.items()})

    def as_told(self, call: Call, told: Told) -> Call:
        """As `with_origins`, where nothing was ever learned."""
        asked = self._checked(call, told)
        return replace(call, origins={each.name: _joined(NOTHING_KNOWN, each.name, told) for each in asked})

    def _checked(self, call: Call, told: Told) -> list[Argument]:
        """The arguments that are there and of which an origin is asked."""
        tool = self._policy.tool(call.tool)
        if tool is None:
            return []
        names = [argument.name for argument in tool.arguments]
        for name in told.origins:
            if name not in names:
                reason = f"the host tells origins of {quoted(name)}, which is no argument of `{tool.name}`"
                raise OriginsRefusedError(WRONG, f"{reason}{near_miss(name, names)}")
        return [each for each in tool.arguments if each.name in self._asked[tool.name] and each.name in call.args]

    def _known(
        self, transaction: Transaction, session: str, call: Call, asked: list[Argument]
    ) -> dict[str, frozenset[str]]:
        shown: dict[str, Json] = json.loads(call.canonical)["args"]
        given = {each.name: marks_of_argument(shown[each.name], each.type) for each in asked}
        wholes = {each.name: mark_of_whole(shown[each.name], each.type) for each in asked}
        digests = {mark: self._digest(session, mark) for mark in _every(given, wholes)}
        found = transaction.origins.labels(session, digests.values())
        labels = {mark: found.get(digest, frozenset()) for mark, digest in digests.items()}
        return {name: _labels(given[name], wholes[name], labels) for name in given}

    # --- learning ------------------------------------------------------------------------------------

    def learn(self, transaction: Transaction, session: str, values: object, label: str) -> bool:
        """Note where values come from; False where there is no room for them, which is noted then.

        Raises UsageError for a label of no spec, and for what is no JSON.
        """
        labels = self._read(label) - NOTHING_KNOWN
        if not labels:
            message = "`unknown` is the origin of what nothing is known of; say nothing of such values"
            raise UsageError(message, WRONG)
        if self._seal is None:
            return True
        try:
            return self._learn(transaction, session, ((leaf, labels) for leaf in leaves(values)))
        except (TooDeepError, TypeError, ValueError) as error:
            message = f"what is learned is JSON: {error}"
            raise UsageError(message, WRONG) from error

    def learn_outcome(self, transaction: Transaction, session: str, tool: str, outcome: Outcome) -> None:
        """Note what a tool has returned, as it is shown: each value has the tool's label, and that of its field."""
        if self._seal is not None:
            self._learn(transaction, session, _returned(self._policy, tool, outcome))

    def forget(self, transaction: Transaction, session: str) -> None:
        """Drop what is known of a session that is over."""
        if self._seal is not None:
            transaction.origins.forget(_session_digest(session))

    def _learn(self, transaction: Transaction, session: str, values: Iterable[Labelled]) -> bool:
        name = _session_digest(session)
        several = list(islice(values, MAX_LEAVES + 1))
        if len(several) > MAX_LEAVES:
            transaction.origins.fill(name)
            return False
        return transaction.origins.learn(name, self._marked(name, several))

    def _marked(self, session: str, values: Iterable[Labelled]) -> Iterator[tuple[str, str]]:
        for (_, leaf), labels in dict.fromkeys((_key(leaf), labels) for leaf, labels in values):
            marks = marks_of(leaf, self._readings)
            loose = labels - {USER}
            for mark in sorted(marks.exact):
                yield from ((self._digest(session, mark), label) for label in sorted(labels))
            if marks.alike is not None:
                yield from ((self._digest(session, _alike(marks.alike)), label) for label in sorted(loose))

    def _digest(self, session: str, mark: str) -> str:
        if self._seal is None:
            message = "there is no key for what is known"
            raise UsageError(message)
        return self._seal.digest(f"origin\0{session}", mark)[:_DIGITS]

    def _read(self, labels: Collection[str] | str) -> frozenset[str]:
        several = (labels,) if isinstance(labels, str) else labels
        is_several = isinstance(several, Collection) and not isinstance(several, Mapping)
        if not is_several or not all(isinstance(label, str) for label in several):
            message = "an origin is told as a label, or as several: each a string"
            raise UsageError(message, WRONG)
        named = frozenset(several)
        for label in sorted(named):
            if label not in self._labels:
                message = f"{quoted(label)} is no origin of {self._policy.named()}{near_miss(label, self._labels)}"
                raise UsageError(message, WRONG)
        return named


TOO_MUCH: Final = "this session has seen more values than are kept, or their key is lost; begin a new session"


def told_origins(policy: Policy, origins: OriginsTold) -> Callable[[Call], Call]:
    """Gives a call the origins that the host tells of it, where nothing was learned. Raises UsageError for no label."""
    knowledge = Knowledge(policy, Seal.fresh())
    told = knowledge.told("", origins)
    return lambda call: knowledge.as_told(call, told)


def asks_origins(policy: Policy) -> bool:
    """Whether a rule or assignment of any spec asks for an origin."""
    return any(origins_asked(tool) for each in policy.contracts for tool in each.tools)


def asked_of(policy: Policy, name: str) -> frozenset[str]:
    """The arguments of a tool of which a rule of some spec asks an origin."""
    shared = policy.shared(name)
    judges = () if shared is None else shared.judges
    tools = (tool for each in judges if (tool := each.tool(name)) is not None)
    return frozenset(asked.argument for tool in tools for asked in origins_asked(tool))


def _returned(policy: Policy, name: str, outcome: Outcome) -> Iterator[Labelled]:
    own = frozenset({tool_label(name)})
    fields = _labels_of_fields(policy, name)
    if isinstance(outcome.result, dict):
        for field, value in outcome.result.items():
            labels = own | fields.get(field, frozenset())
            yield from ((leaf, labels) for leaf in leaves({field: value} if field not in fields else value))
    else:
        yield from ((leaf, own) for leaf in leaves(outcome.result))
    said = (outcome.stdout, outcome.stderr, outcome.reason if outcome.reason_code == "tool.error" else "")
    yield from ((text, own) for text in said if text)


def _labels_of_fields(policy: Policy, name: str) -> dict[str, frozenset[str]]:
    shared = policy.shared(name)
    tools: list[Tool] = []
    for contract in () if shared is None else shared.judges:
        tool = contract.tool(name)
        tools += [] if tool is None else [tool]
    fields: dict[str, frozenset[str]] = {}
    for tool in tools:
        for each in tool.returns:
            fields[each.name] = fields.get(each.name, frozenset()) | ({each.origin} - {""})
    return fields


def _every(given: Mapping[str, tuple[Given, ...]], wholes: Mapping[str, str | None]) -> Iterator[str]:
    for several in given.values():
        for each in several:
            yield each.exact
            if each.alike is not None:
                yield _alike(each.alike)
    yield from (mark for mark in wholes.values() if mark is not None)


def _labels(given: tuple[Given, ...], whole: str | None, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The labels of an argument: those of each of its values; `unknown` where one is not exactly what is known."""
    found: frozenset[str] = frozenset()
    whole_labels = frozenset[str]() if whole is None else known[whole]
    strange = not given
    for each in given:
        exact = known[each.exact]
        alike = frozenset[str]() if each.alike is None else known[_alike(each.alike)]
        found |= exact | alike
        strange = strange or not exact
    return found | whole_labels | (NOTHING_KNOWN if strange and not whole_labels else frozenset())


def _joined(known: frozenset[str], name: str, told: Told) -> frozenset[str]:
    """What is known by itself, what the host says, and what was judged before of the same call, which stays."""
    said = frozenset(told.origins.get(name, ()))
    labels = (known - NOTHING_KNOWN) | said if said else known
    return labels | frozenset(told.earlier.get(name, ()))


def _alike(text: str) -> str:
    return f"alike:{text}"


def _key(leaf: Leaf) -> tuple[str, Leaf]:
    """Tells `1` from `true` and from `1.0`, which Python takes for one."""
    return type(leaf).__name__, leaf


def _session_digest(session: str) -> str:
    return hashlib.sha256(f"session\0{session}".encode("utf-8", "surrogatepass")).hexdigest()
