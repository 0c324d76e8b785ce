"""Whether an earlier call is one that a `needs` asks for: by the two calls themselves, with nothing remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.call import Call
from sandbox.evaluate import Env, truth
from sandbox.ir import Property

if TYPE_CHECKING:
    from sandbox.call import Value


@dataclass(frozen=True, slots=True)
class Made:
    """A call, and the facts of the session that it was made in, by their names."""

    call: Call
    session: Mapping[str, Value]


def is_one_to_come(subject: Property, earlier: Made) -> bool:
    """Whether a call meets `before`; of what is no `needs`, none does."""
    if subject.before is None:
        return False
    known = {"tool": earlier.call.tool, **{f"session.{name}": value for name, value in earlier.session.items()}}
    return truth(subject.before)(Env(earlier.call.args, {}, known))


def counts_for(subject: Property, earlier: Made, later: Made) -> bool:
    """Whether a call that meets `before` has equal values at every path of `same`."""
    return not differing(subject, earlier, later)


def differing(subject: Property, earlier: Made, later: Made) -> tuple[str, ...]:
    """The paths of `same` at which two calls have no equal values; what is not there is equal to nothing."""
    pairs = ((path, value_at(earlier, path), value_at(later, path)) for path in subject.same)
    return tuple(path for path, one, other in pairs if one is None or other is None or one != other)


def value_at(made: Made, path: str) -> Value | None:
    """What a call has at a path, None where it has nothing there."""
    root, *names = path.split(".")
    value: object = made.call.args if root == "args" else made.session
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value  # type: ignore[return-value]  # what stands in arguments and sessions
