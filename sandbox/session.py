"""Session facts: what the host says about whoever a call is made for. Typed as arguments are, and never the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, cast

from sandbox.call import Rejected, Value
from sandbox.canonical import canonical_json
from sandbox.errors import UsageError
from sandbox.ir import Argument, Json
from sandbox.parse import parse_value
from sandbox.strict_json import read

Session: TypeAlias = Mapping[str, object]
SessionSource: TypeAlias = Session | Callable[[], Session] | None
"""The facts, or what returns them at the time of a call."""


def current(source: SessionSource) -> Session:
    """The facts that hold now."""
    if source is None:
        return {}
    return source() if callable(source) else source


class Declares(Protocol):
    """What declares facts of the session: a contract, or a policy of several."""

    @property
    def session(self) -> tuple[Argument, ...]:
        """Every declared fact."""
        ...


def session_name(declared: Declares, session: Session | None, facts: Mapping[str, Value]) -> str:
    """What tells a session from every other: its `id`, declared or not, as JSON; '' where the host gives none.

    Without one, all calls are of one session.
    """
    given = (session or {}).get("id")
    if any(fact.name == "id" for fact in declared.session):
        given = facts.get("id")
    return "" if given is None else canonical_json(cast("Json", given))


def read_session(declared: Declares, session: Session | None) -> dict[str, Value]:
    """The declared facts that the host supplied, as canonical values; others mean nothing to the spec.

    A fact that is missing is left out, and denies every call. Raises UsageError for one of a wrong type.
    """
    if session is not None and not isinstance(session, Mapping):
        message = "the session is no JSON object: it is given as a mapping"
        raise UsageError(message, "session.invalid")
    tree = read(dict(session or {}))
    if not isinstance(tree, dict):
        reason = tree.reason if isinstance(tree, Rejected) else "not an object"
        message = f"the session is no JSON object: {reason}"
        raise UsageError(message, "session.invalid")
    facts: dict[str, Value] = {}
    for fact in declared.session:
        if fact.name not in tree:
            continue
        value = parse_value(tree[fact.name], fact.type)
        if isinstance(value, Rejected):
            message = f"the session fact `{fact.name}` is wrong: {value.reason}"
            raise UsageError(message, "session.invalid")
        facts[fact.name] = value
    return facts
