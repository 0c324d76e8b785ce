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
from sandbox.gate import Gate, Raw
from sandbox.ir import Json
from sandbox.knowledge import OriginsTold
from sandbox.parse import parse_call
from sandbox.session import Session, SessionSource, current

OriginsSource: TypeAlias = Callable[[str, Mapping[str, Json]], OriginsTold]
"""Gets a tool's name and the canonical arguments of a call, and returns labels by argument."""


@dataclass(frozen=True, slots=True)
class Saying:
    """The session's facts, and what the host says of each call's values: what an adapter takes as its `session`.

    `origins` is asked for every call that can be read, each time it is judged. Where it raises, the call does, and
    nothing runs.
    """

    origins: OriginsSource
    session: SessionSource = None

    def __call__(self) -> Session:
        """The facts that hold now."""
        return current(self.session)


def said_origins(gate: Gate, source: SessionSource, raw: Raw) -> OriginsTold | None:
    """What the host says of the values of this call; None where it says nothing, or the call cannot be read."""
    if not isinstance(source, Saying):
        return None
    call = parse_call(raw, gate.policy)
    if isinstance(call, Rejected):
        return None
    return source.origins(call.tool, json.loads(call.canonical)["args"])
