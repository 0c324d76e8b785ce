"""A rule-based state machine for Hypothesis: a model that emits anything, against the real gate, with time passing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from sandbox.compile import PropertySet, load_policy, load_properties
from sandbox.testing.hostile import hostile_bytes
from sandbox.testing.trial import Trial
from sandbox.testing.values import Raw, calls, raw_call

HOUR_MS = 3_600_000


def gate_machine(
    spec: str | Path,
    properties: str | Path | None = None,
    *,
    session: Mapping[str, object] | None = None,
) -> type[RuleBasedStateMachine]:
    """A state machine class for this spec; `Machine.TestCase` is a unittest that pytest collects.

    At every step the gate must do what its rules say, and no property of the file or folder `properties` about this
    spec may be violated. `session` has the facts of every call.
    """
    policy = load_policy(spec)
    judged = properties_of(spec, properties)
    right = calls(policy.tools) if policy.tools else st.just(raw_call("x", {}))

    class GateMachine(RuleBasedStateMachine):
        """The spec's gate."""

        def __init__(self) -> None:
            super().__init__()
            self.trial = Trial(spec, judged, session=session)

        @rule(raw=hostile_bytes(policy.tools))
        def emit_anything(self, raw: bytes) -> None:
            """The model emits bytes."""
            self.trial.emit(raw)

        @rule(call=right)
        def emit_a_call(self, call: Raw) -> None:
            """The model emits a call of the right form."""
            self.trial.emit(json.dumps(call).encode())

        @rule(hours=st.integers(0, 48))
        def wait(self, hours: int) -> None:
            """Time passes."""
            self.trial.wait(hours * HOUR_MS)

        def teardown(self) -> None:
            """Throw the state away."""
            self.trial.__exit__(None, None, None)

    return GateMachine


def properties_of(spec: str | Path, properties: str | Path | None) -> Sequence[PropertySet]:
    """The properties of a file or folder that are about this spec."""
    if properties is None:
        return ()
    names = {each.name for each in load_policy(spec).contracts}
    return tuple(each for each in load_properties(properties) if each.contract.name in names)
