"""Where the values of a call come from, as the host knows it at the time of the call; the same for every adapter.

Most of it is learned: what tools return by the gate itself, what the user chose by `Gate.learn`. What only the host can
tell of one call, it tells here, beside the session's facts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sandbox.call import Rejected
from sandbox.errors import UsageError
from sandbox.gate import Gate, Raw
from sandbox.ir import Json
from sandbox.knowledge import WRONG, OriginsTold
from sandbox.parse import parse_call
from sandbox.session import Session, SessionSource, current

OriginsSource: TypeAlias = Callable[[str, Mapping[str, Json]], OriginsTold]
"""Gets a tool's name and the canonical arguments of a call, and returns labels by argument."""


@dataclass(frozen=True, slots=True)
class Saying:
    """The session's facts, and what the host says of each call's values: what an adapter takes as its `session`.

    `origins` is asked for every call that can be read, each time it is judged. Where it raises, or returns no mapping,
    the call raises, and nothing runs; what it has nothing to say of is `{}`.
    """

    origins: OriginsSource
    session: SessionSource = None

    def __call__(self) -> Session:
        """The facts that hold now."""
        return current(self.session)


def said_origins(gate: Gate, source: SessionSource, raw: Raw) -> OriginsTold | None:
    """What the host says of the values of this call; None where it says nothing, or the call cannot be read.

    Raises UsageError where it was asked and did not answer: that is no "nothing", as it may have had labels that deny.
    """
    if not isinstance(source, Saying):
        return None
    call = parse_call(raw, gate.policy)
    if isinstance(call, Rejected):
        return None
    told = source.origins(call.tool, json.loads(call.canonical)["args"])
    if not isinstance(told, Mapping):
        message = (
            f"`origins` of `{call.tool}` are told as a mapping, `{{}}` for nothing, and not as `{type(told).__name__}`"
        )
        raise UsageError(message, WRONG)
    return told
