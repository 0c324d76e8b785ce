"""From a permit to a result: intent, consume, execute, settle, outcome.

Possession of a permit is the permission, and it is used up here, in a transaction of its own, right before the
execution. From then on what the call has spent stays spent, unless its container provably never started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sandbox.aftermath import ResultJudge, has_rules, shown, without_output
from sandbox.call import Call, Decision, Isolation, Outcome, Permit, Proofs, Receipt, Result, Ruling
from sandbox.decide import Facts
from sandbox.endings import Endings
from sandbox.errors import Fault, SandboxFailure
from sandbox.events import emit
from sandbox.execute.runner import Prepared, Runner
from sandbox.holders import holders_of
from sandbox.ir import Contract, Json, Tool
from sandbox.joint import Engines, JointLanding, take_joint_success
from sandbox.judging import ChangesJudge, Moments
from sandbox.knowledge import Knowledge
from sandbox.machine import StateFullError, effective, tick
from sandbox.needed import Needed
from sandbox.policy import Policy, SharedTool
from sandbox.seal import Seal
from sandbox.spans import span, tell_outcome
from sandbox.state import Store, Transaction
from sandbox.step import denied, facts_at, replaced, stopped
from sandbox.trail import Trail, named, one_line, outcome_body
from sandbox.watch import Watch

UNSEEN: Final = Ruling(
    "withhold", "", "", "after.fault", "the call ran; its result was not judged, and nobody has seen it"
)
"""What became of a result that nobody came to judge."""


@dataclass(frozen=True, slots=True)
class Way:
    """One call on its way: what was asked, what will run it, and what its permit will bind.

    `shared` is what a person is shown; `contract` the spec whose `run` runs, and `tool` its declaration of the tool.
    `whose` is the name of the session. `seal` is there where the tool is given secrets: what is recorded of its outcome
    is keyed by it.
    """

    call: Call
    shared: SharedTool
    contract: Contract
    tool: Tool
    runner: Runner
    isolation: Isolation
    prepared: Prepared
    session_digest: str
    facts: Facts
    whose: str = ""
    seal: Seal | None = None


class Passage:
    """Takes permits to results, for one gate. Thread-safe; no transaction is open while a container runs."""

    def __init__(
        self,
        policy: Policy,
        engines: Engines,
        store: Store,
        trail: Trail,
        *,
        clock: Callable[[], int],
        proofs: Proofs,
        watch: Watch,
        knowledge: Knowledge,
        needed: Needed,
    ) -> None:
        self._policy = policy
        self._engines = engines
        self._digests = policy.digests()
        self._proofs = proofs
        self._store = store
        self._trail = trail
        self._clock = clock
        self._watch = watch
        self._endings = Endings(store, trail)
        self._knowledge = knowledge
        self._needed = needed

    def close(self) -> None:
        """Let go of what is on record."""
        self._endings.close()

    def take(self, way: Way, decision: Decision, permit: Permit) -> Result:
        """What came of the one execution that this permit allows.

        Raises RecordBroken (nothing ran, if the intent could not be recorded), Denied (the permit is void: nothing
        ran), Fault where the state or the record failed afterwards.
        """
        try:
            self._trail.intend(permit, decision)
            self.consume(permit)
        except BaseException as error:
            if not (isinstance(error, Fault) and error.reason_code == "permit.used"):  # who used it may be running
                self._cancel(permit)
            raise
        return self._conclude(way, decision, permit, self._execute(way, permit))

    def consume(self, permit: Permit) -> None:
        """Use the permit up; a second use of the same nonce is a Fault.

        Not on disk by itself: a permit lives no longer than the power, and what it has reserved is there already. The
        next gate finds that unfinished, whichever of the two it says, and leaves it spent.
        """
        if permit.contracts != self._digests:
            reason = "the permit is for other specs than this gate's"
            raise self._trail.refuse(denied(permit.call, "permit.changed", reason))
        with self._store.transaction(durable=False) as transaction:
            if transaction.stopped() or transaction.kill_epoch() != permit.epoch:
                raise self._trail.refuse(stopped(permit.call))
            name = transaction.superseded(self._digests)
            if name:
                raise self._trail.refuse(replaced(permit.call, name))
            if self._clock() >= permit.expires_at_ms:
                reason = "the permit expired before the call could start"
                raise self._trail.refuse(denied(permit.call, "permit.expired", reason))
            transaction.advance(permit.nonce, expect="reserved", to="running")

    def _cancel(self, permit: Permit, outcome: Mapping[str, Json] | None = None) -> None:
        """Give back what a call spent that never started; if that fails, it stays spent.

        `outcome` is what its record will say, where it was on its way.
        """
        try:
            with self._store.transaction() as transaction:
                restored = transaction.cancel(self._policy.contracts, permit.nonce)
                cancelled: Mapping[str, Json] = {"nonce": permit.nonce, "restored": restored}
                bodies = {"cancelled": cancelled} | ({} if outcome is None else {"outcome": outcome})
                self._endings.note(transaction, permit.nonce, bodies)
            self._endings.record(permit.nonce, "cancelled", cancelled)
        except Exception as error:  # noqa: BLE001  # the error that led here is the one to report
            emit("gate.cancel_failed", nonce=permit.nonce, reason=one_line(error))

    def _execute(self, way: Way, permit: Permit) -> Outcome:
        """The runner's outcome; where it raised, a container may have started, and so the budget stays spent."""
        try:
            judge = self._judge_of_changes(way)
            given = (permit, way.contract, way.tool, self._clock())
            with span("sandbox.execute") as told, self._watch.running(permit.nonce, permit.epoch, way.runner):
                outcome = way.runner.run(*given) if judge is None else way.runner.run(*given, judge)
                tell_outcome(told, outcome)
                return outcome
        except Exception as error:  # noqa: BLE001  # whatever it was, it has to be settled and recorded
            code = error.reason_code if isinstance(error, SandboxFailure) else "sandbox_failure.internal"
            return Outcome(
                "sandbox_failure", code, f"the runner failed: {named(error) if way.seal else one_line(error)}"
            )
        except BaseException:
            self._interrupted(way, permit)
            raise

    def _judge_of_changes(self, way: Way) -> ChangesJudge | None:
        """Who judges what the call changes, where one of its specs has rules for that."""
        judges = way.shared.judges
        if all(tool.changes is None for each in judges if (tool := each.tool(way.tool.name)) is not None):
            return None
        return ChangesJudge(judges, self._engines, way.call, partial(self._moments, way))

    def _moments(self, way: Way) -> Moments:
        """What rules read after the call: the state of each of its specs, and the time, as they are now."""
        now = self._clock()
        with self._store.transaction() as transaction:
            ticked = [
                tick(each, transaction.load(each, now, holders_of(each, way.facts)), now) for each in way.shared.judges
            ]
        clock = max((now, *(each.clock_ms for each in ticked)))
        facts = facts_at(clock, way.facts)
        return {
            contract.name: (effective(contract, tick(contract, stored, clock)), facts)
            for contract, stored in zip(way.shared.judges, ticked, strict=True)
        }

    def _interrupted(self, way: Way, permit: Permit) -> None:
        """Settle and record a call that was interrupted; if that fails, the next gate finds it unfinished."""
        lost = Outcome("sandbox_failure", "sandbox_failure.interrupted", "interrupted while it ran")
        try:
            receipt = _receipt(way, permit, self._proofs)
            self._settle(way, permit, lost, receipt)
            self._endings.record(permit.nonce, "outcome", outcome_body(lost, receipt, seal=way.seal))
        except Exception as error:  # noqa: BLE001  # the interruption is what to report
            emit("gate.settle_failed", nonce=permit.nonce, reason=one_line(error))

    def _settle(self, way: Way, permit: Permit, outcome: Outcome, receipt: Receipt) -> JointLanding | None:
        """Finish the reservation, note what success enables and what the record will say: all or nothing.

        Should this process die before the result is judged, nobody has seen it: so it is noted as withheld.
        """
        unseen = self._unseen(way, outcome)
        if not outcome.started:
            self._cancel(permit, outcome_body(outcome, receipt, None, unseen, way.seal))
            return None
        ended_well = outcome.status == "ok"
        with self._store.transaction(durable=ended_well and self._adds(way)) as transaction:
            transaction.advance(permit.nonce, expect="running", to="settled" if ended_well else "failed")
            landing = self._succeed(way, transaction) if ended_well and way.shared.enabling else None
            if ended_well and (landing is None or not landing.reason_code):
                self._needed.note(transaction, way.shared.judges, way.call, way.facts)
            body = outcome_body(outcome, receipt, landing, unseen, way.seal)
            self._endings.note(transaction, permit.nonce, {"outcome": body})
            return landing

    def _adds(self, way: Way) -> bool:
        """Whether success adds something to the state that its record, which comes next, does not say as well.

        Where nothing is added the record alone has to be on disk: it keeps the next gate from taking the call for
        unfinished, and what the call has spent is spent either way.
        """
        return bool(way.shared.enabling) or self._needed.asks(way.shared.judges)

    def _succeed(self, way: Way, transaction: Transaction) -> JointLanding:
        """What the call enables is stored on the state as it is now; where that fails, nothing is enabled."""
        now = self._clock()
        name = transaction.superseded(self._digests)
        if name:
            return JointLanding({}, "state.superseded", replaced(way.call, name).reason)
        holders = {each.name: holders_of(each, way.facts) for each in way.shared.judges}
        try:
            stored = {each.name: transaction.load(each, now, holders[each.name]) for each in way.shared.judges}
        except StateFullError as full:
            return JointLanding({}, "state_full", f"{full}; what the call enables was not noted")
        landing = take_joint_success(self._engines, self._policy, stored, way.call, now, session=way.facts)
        for each in way.shared.judges:
            if each.name in landing.after:
                transaction.save(each, landing.after[each.name], holders[each.name])
        return landing

    def _conclude(self, way: Way, decision: Decision, permit: Permit, outcome: Outcome) -> Result:
        """Settle, then record; the record is written even where the state could not be."""
        receipt = _receipt(way, permit, self._proofs)
        landing, ruling = None, self._unseen(way, outcome)
        try:
            landing = self._settle(way, permit, outcome, receipt)
            ruling = self._ruling(way, outcome)
        finally:
            body = outcome_body(outcome, receipt, landing, ruling, way.seal)
            record = self._endings.record(permit.nonce, "outcome", body)
        if landing is not None and landing.reason_code:
            emit("gate.success_not_noted", tool=way.tool.name, reason_code=landing.reason_code)
        emit("gate.outcome", tool=way.tool.name, status=outcome.status, duration_ms=outcome.duration_ms)
        bound = replace(receipt, record_sequence=record.sequence, record_digest=record.digest)
        seen = self._seen(way, outcome, ruling)
        self._learn(way, seen)
        return Result(decision, seen, bound)

    def _seen(self, way: Way, outcome: Outcome, ruling: Ruling | None) -> Outcome:
        """The outcome as it leaves the gate."""
        if ruling is not None:
            return shown(outcome, ruling)
        judged = outcome.started and has_rules(way.shared.judges, way.tool.name)
        return without_output(outcome) if judged else outcome

    def _learn(self, way: Way, seen: Outcome) -> None:
        """Note where its values come from, before anybody sees them; Fault where that fails, and nobody does."""
        if not self._knowledge.asked:
            return
        try:
            with self._store.transaction() as transaction:
                self._knowledge.learn_outcome(transaction, way.whose, way.tool.name, seen)
        except Exception as error:
            message = (
                f"the call ran; where its result comes from could not be noted, and it is withheld: {named(error)}"
            )
            raise Fault(message, "origin.not_noted") from error

    def _ruling(self, way: Way, outcome: Outcome) -> Ruling | None:
        """What becomes of the result; None where no spec judges it, or where it is the machinery that failed."""
        if self._unseen(way, outcome) is None:
            return None
        return ResultJudge(way.shared.judges, self._engines, way.call, partial(self._moments, way)).ruling(outcome)

    @staticmethod
    def _unseen(way: Way, outcome: Outcome) -> Ruling | None:
        """What becomes of the result as long as nobody has judged it; None where nobody is to."""
        judged = outcome.status != "sandbox_failure" and has_rules(way.shared.judges, way.tool.name)
        return UNSEEN if judged else None


def _receipt(way: Way, permit: Permit, proofs: Proofs) -> Receipt:
    """What the record binds; the record's own number and digest are filled in once it is written."""
    return Receipt(
        call_digest=permit.call.digest,
        contract_digest=permit.contract_digest,
        run_digest=permit.run_digest,
        image_digest=permit.image_digest,
        source_digest=permit.source_digest,
        isolation=way.isolation,
        runtime=way.prepared.runtime,
        nonce=permit.nonce,
        record_sequence=-1,
        record_digest="",
        approved_by=permit.approved_by,
        proofs=proofs,
        contracts=dict(permit.contracts),
        origins=permit.call.told_origins(),
    )
