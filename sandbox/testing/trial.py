"""One spec on trial: the real gate on a throw-away state, beside a rehearsal that says what it should do.

Nothing runs: what reaches the edge is counted. Nobody approves, so what is asked waits. A finding is an
`AssertionError` that tells the calls that led to it.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sandbox import ir
from sandbox.call import Call, Decision, Origins, Outcome, Permit, Value
from sandbox.canonical import printable
from sandbox.compile import PropertySet, load_policy
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import ApprovalNeeded, Denied, SandboxError
from sandbox.evaluate import Env, truth
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.gate import Gate
from sandbox.ir import Contract, Property, Tool
from sandbox.machine import StateValue
from sandbox.parse import parse_call
from sandbox.prove.coming import Made, counts_for, is_one_to_come
from sandbox.rehearsal import Rehearsal
from sandbox.session import read_session

START_MS: Final = 1_767_268_800_000
"""When a trial begins: noon of the first day of 2026, UTC."""
SHOWN: Final = 400
"""Bytes of a call that a finding repeats."""

_OK: Final = Outcome("ok", "ok", "", result=None)
_DIGEST: Final = "0" * 64


class Edge:
    """The runner of a trial: it runs nothing, and keeps every permit that reaches it."""

    def __init__(self) -> None:
        self.permits: list[Permit] = []

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """Digests of nothing."""
        _ = contract, tool
        return Prepared(_DIGEST, _DIGEST, _DIGEST, "trial: nothing runs")

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Keep the permit; the tool ended `ok`."""
        _ = contract, tool, now_ms, judge
        self.permits.append(permit)
        return _OK


class Trial:
    """A gate and its rehearsal. A context manager; not thread-safe.

    `session` has the facts that hold for every call; `properties` are judged at every step. `solver` asks both engines.
    """

    def __init__(
        self,
        spec: str | Path,
        properties: Sequence[PropertySet] = (),
        *,
        session: Mapping[str, object] | None = None,
        solver: bool = False,
    ) -> None:
        self.now_ms = START_MS
        self.seen: Counter[tuple[str, str]] = Counter()
        self.edge = Edge()
        self._told: list[str] = []
        self._ended: list[Made] = []
        self._session = dict(session or {})
        self._folder = tempfile.TemporaryDirectory(prefix="sandbox-trial-")
        self.policy = load_policy(spec)
        self._facts = read_session(self.policy, self._session)
        self._properties = properties
        engines = {each.name: EnginePair(Evaluator(each), None) for each in self.policy.contracts}
        self._origins: Origins = {}
        self._rehearsal = Rehearsal(self.policy, engines, START_MS, session=self._facts, known=self._with_origins)
        self._gate = Gate.open(
            spec,
            state=f"sqlite:///{self._folder.name}/state.db",
            runner=self.edge,
            server=self.edge,
            clock=lambda: self.now_ms,
            engine="both" if solver else "evaluator",
            proved_digest=None if solver else [ir.digest(each) for each in self.policy.contracts],
        )
        self._check_states()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.close()
        self._folder.cleanup()

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now_ms += milliseconds
        self._told.append(f"{milliseconds} ms pass")
        self._check_states()

    def emit(self, raw: bytes, origins: Origins | None = None) -> Decision:
        """One output of the model: what the gate does with it must be what the rehearsal says, and hurt no property.

        `origins` is what the host tells of its values.
        """
        self._origins = {name: labels for name, labels in (origins or {}).items() if labels}
        before = {each.name: self._rehearsal.state(each, self.now_ms) for each in self.policy.contracts}
        expected = self._rehearsal.advance(raw, self.now_ms)
        self._told.append(f"{_shown(raw)}: {expected.verdict} ({expected.reason_code})")
        self.seen[expected.verdict, expected.rule or expected.reason_code] += 1
        reached = len(self.edge.permits)
        decided = self._attempt(raw)
        ran = len(self.edge.permits) - reached
        if ran != (1 if expected.verdict == "allow" and decided is None else 0):
            self._fail(f"{ran} calls reached the edge, where the verdict is {expected.verdict}")
        if decided is not None and _said(decided) != _said(expected):
            self._fail(f"the gate says {_said(decided)}, its rules say {_said(expected)}")
        if ran:
            self._check_same(raw, self.edge.permits[-1].call)
        self._check_call(raw, expected, before)
        if ran:
            self._ended.append(Made(self.edge.permits[-1].call, self._facts))
        self._check_states()
        return expected

    # --- what must hold ------------------------------------------------------------------------------

    def _attempt(self, raw: bytes) -> Decision | None:
        """The decision by which the gate refused the call, None where it ran."""
        try:
            self._gate.attempt(raw, self._session, origins=self._origins)
        except (Denied, ApprovalNeeded) as refusal:
            return refusal.decision
        except SandboxError as error:
            self._fail(f"the gate raised {type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  # the finding is that this can be raised at all
            self._fail(f"the gate raised {type(error).__name__}: {error}")
        return None

    def _check_same(self, raw: bytes, call: Call) -> None:
        """What ran has the tool and the arguments that another reader of JSON sees in the bytes."""
        emitted = json.loads(raw)
        canonical = json.loads(call.canonical)
        if canonical["tool"] != emitted["tool"] or not set(emitted["args"]) <= set(canonical["args"]):
            self._fail(f"what ran is another call: {call.canonical[:SHOWN]}")

    def _check_call(self, raw: bytes, decision: Decision, before: Mapping[str, Mapping[str, StateValue]]) -> None:
        call = parse_call(raw, self.policy)
        call = self._with_origins(call) if isinstance(call, Call) else call
        by_rules = decision.reason_code == "default_deny" or decision.reason_code.startswith("rule.")
        if not isinstance(call, Call) or not by_rules:
            return
        now = max(self.now_ms, self._rehearsal.clock(self.policy.contracts, self.now_ms))
        facts = {"now": now, **{f"session.{name}": value for name, value in self._facts.items()}}
        for each in self._properties:
            for subject in each.properties:
                if self._meets(subject, call, decision, facts, before[each.contract.name]):
                    self._fail(f"the property `{subject.id}` is violated: {subject.text}")

    def _with_origins(self, call: Call) -> Call:
        return replace(call, origins=self._origins)

    def _meets(
        self,
        subject: Property,
        call: Call,
        decision: Decision,
        facts: Mapping[str, Value],
        state: Mapping[str, StateValue],
    ) -> bool:
        """Whether the call is one that the property speaks of, and what a `needs` asks for has not come."""
        if subject.kind not in {"never", "flow", "needs"} or call.tool not in subject.tools:
            return False
        if not subject.is_about(decision.verdict):
            return False
        known = {**facts, "tool": call.tool, "decision": decision.verdict, "rule": decision.rule}
        if not truth(subject.condition)(Env(call.args, dict(state), known, origins=call.origins)):
            return False
        last = Made(call, self._facts)
        return not any(is_one_to_come(subject, each) and counts_for(subject, each, last) for each in self._ended)

    def _check_states(self) -> None:
        for each in self._properties:
            state = self._rehearsal.state(each.contract, self.now_ms)
            for subject in each.properties:
                if subject.kind == "always" and not truth(subject.condition)(Env({}, dict(state))):
                    self._fail(f"the property `{subject.id}` is violated: {subject.text}")

    def _fail(self, what: str) -> None:
        lines = [f"{number}. {told}" for number, told in enumerate(self._told, start=1)]
        raise AssertionError("\n".join((what, "after:", *lines)) if lines else what)


def _said(decision: Decision) -> tuple[str, str]:
    """Verdict and rule; why a call waits is told in the gate's own words."""
    return decision.verdict, decision.rule


def _shown(raw: bytes) -> str:
    text = printable(raw[:SHOWN].decode("utf-8", "backslashreplace"))
    return text if len(raw) <= SHOWN else f"{text}... ({len(raw)} bytes)"
