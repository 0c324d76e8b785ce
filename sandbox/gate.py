"""The gate: the one path from a model's raw output to a result.

::

    raw -> parse -> judge -> prepare -> (approve) -> judge again + reserve   (one transaction)
        -> intent -> consume -> execute -> settle -> outcome

Every arrow fails closed. A denial, a missing approver or a missing engine spends nothing. Once a permit's nonce is
consumed, its reservation stays whatever happens, unless the container provably never started.
No transaction is open while a person thinks or a container runs.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Self, TypeAlias, cast

from sandbox.approve import Approval, Approver, Given, check_given
from sandbox.audit import AuditLog
from sandbox.call import NO_PROOFS, Call, Decision, Isolation, Permit, Proofs, Rejected, Result
from sandbox.canonical import json_digest
from sandbox.compile import SpecPaths, load_policy
from sandbox.consent import Consent, is_enough
from sandbox.decide import EnginePair, Facts
from sandbox.engines import close_engines, engine_pairs
from sandbox.errors import EnvironmentLacking, Fault, SandboxError, SandboxFailure, ToolError, UsageError
from sandbox.events import emit
from sandbox.execute.runner import Runner
from sandbox.holders import holders_of
from sandbox.host import HostFunction, HostRunner
from sandbox.ir import Contract, Json, RunHost
from sandbox.joint import Engines, judges_of, take_joint_step
from sandbox.knowledge import FULL, TOO_MUCH, Knowledge, OriginsRefusedError, OriginsTold, Told, asks_origins
from sandbox.machine import StateFullError, StoredState
from sandbox.nearest import Suggestion, nearest_allowed
from sandbox.needed import Needed, Needs
from sandbox.opening import Checked, check_all_proofs, check_engine, check_workspaces, tell_proofs
from sandbox.parse import parse_call
from sandbox.passage import Passage, Way
from sandbox.policy import Policy, SharedTool
from sandbox.recovery import recover
from sandbox.rehearsal import Rehearsal
from sandbox.seal import Seal, needs_seal
from sandbox.seal_file import read_seal
from sandbox.session import Session, read_session, session_name
from sandbox.spans import span, tell_decision, tell_result
from sandbox.state import Reservation, Store, Transaction
from sandbox.step import denied, replaced, stopped
from sandbox.trail import Trail, is_fault, named, names, one_line
from sandbox.watch import Watch

if TYPE_CHECKING:
    from sandbox.execute.cold import ColdRunner

PERMIT_LIFETIME_MS: Final = 30_000
"""From the reservation to the start: a permit that waits longer was decided about another moment."""
MAX_ROUNDS: Final = 3
"""How often a call may be sent back to a person because the state had changed while the last one thought."""

Clock: TypeAlias = Callable[[], int]
Raw: TypeAlias = bytes | str | Mapping[str, object]
EngineSetting: TypeAlias = Literal["both", "evaluator"]


def wall_clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _Said:
    """What the host said: of the session the digest of all of it and the declared facts, and of a call's origins."""

    digest: str
    facts: Facts
    told: Told


class Gate:
    """Judges raw calls by the specs it was opened on, and runs those that are allowed. Safe to share between threads.

    A context manager, sync and async. `decide` judges and never raises; `call` goes the whole way.
    """

    def __init__(
        self,
        policy: Policy,
        store: Store,
        audit: AuditLog,
        engines: Engines,
        *,
        runner: Runner | None,
        server: Runner | None = None,
        approvers: Sequence[Approver],
        clock: Clock,
        proofs: Proofs = NO_PROOFS,
        seal: Seal | None = None,
        origin_key: Seal | None = None,
        needs: Needs = MappingProxyType({}),
    ) -> None:
        self._policy = policy
        self._seal = seal
        self._knowledge = Knowledge(policy, origin_key)
        self._digests = policy.digests()
        self._store = store
        self._audit = audit
        self._engines = engines
        self._runner = runner
        self._server = server
        self._cold: ColdRunner | None = None
        self._host = HostRunner()
        self._clock = clock
        self._trail = Trail(audit)
        self._consent = Consent(policy, approvers, self._trail, clock)
        self._watch = Watch(store.switch, self._runners)
        self._passage = Passage(
            policy,
            engines,
            store,
            self._trail,
            clock=clock,
            proofs=proofs,
            watch=self._watch,
            knowledge=self._knowledge,
            needed=Needed(needs),
        )
        self._idle = threading.Condition()
        self._running: set[object] = set()
        self._closed = False

    @classmethod
    def open(
        cls,
        spec: SpecPaths,
        *,
        state: str | None = None,
        runner: Runner | None = None,
        server: Runner | None = None,
        approver: Approver | Sequence[Approver] | None = None,
        clock: Clock | None = None,
        engine: EngineSetting = "both",
        proved_digest: str | Sequence[str] | None = None,
    ) -> Self:
        """A gate on the spec at this path, or on several: a call is judged by each that describes its tool.

        `state` is a URL (`sqlite:///relative`, `sqlite:////absolute`), by default $SANDBOX_STATE, else
        `.sandbox/state.db` beside the (first) spec. `runner` is by default one cold container a call. Without an
        `approver` nothing that is asked runs. `server` runs tools that have no `run`, which else are only judged.
        `clock` returns Unix milliseconds. `engine="evaluator"` leaves out the solver's second opinion per call; it
        needs `proved_digest`, the digest of the contract that was fully proved (of each of them, where there are
        several).

        Raises SpecError for a wrong spec, UsageError for a wrong argument, Fault for a state or record that is damaged.
        """
        policy = load_policy(spec)
        check_engine(policy, engine, proved_digest)
        proofs = check_all_proofs(policy)
        moment = clock or wall_clock
        store = Store.open(state, policy.first.file)
        try:
            for each in policy.contracts:
                check_workspaces(each, store.audit_path.parent)
            audit = AuditLog(store.audit_path, moment)
            engines = engine_pairs(policy, solver=engine == "both")
            gate = cls(
                policy,
                store,
                audit,
                engines,
                runner=runner,
                server=server,
                approvers=_each(approver),
                clock=moment,
                proofs=proofs.told,
                seal=read_seal(store.key_path) if needs_seal(policy.tools) else None,
                origin_key=read_seal(store.key_path) if asks_origins(policy) else None,
                needs={name: found.needs for name, found in proofs.standings.items()},
            )
            gate._recover(proofs)  # the first thing that a new gate does
            for found in proofs.standings.values():
                tell_proofs(found)
            gate._watch.start()
        except BaseException:
            store.close()
            raise
        return gate

    @property
    def policy(self) -> Policy:
        """The compiled specs, with those that they extend."""
        return self._policy

    @property
    def contract(self) -> Contract:
        """The compiled spec; of several, the first that was named."""
        return self._policy.first

    # --- what users call -------------------------------------------------------------------------

    def decide(self, raw: Raw, session: Session | None = None, *, origins: OriginsTold | None = None) -> Decision:
        """The verdict on a raw call as things stand now. Runs nothing, reserves nothing, never raises.

        `session` are the facts that the host supplies; a declared one that is missing, or of a wrong type, denies.
        `origins` are labels, by argument, of where the host knows its value to come from, beside what was learned.
        """
        try:
            decision = self._judge(self._parse(raw), self._said(session, origins))
        except UsageError as error:
            return denied(None, error.reason_code, str(error))
        except Exception as error:  # noqa: BLE001  # whatever went wrong, the answer is no
            decision = self._failed(None, error)
        if is_fault(decision):
            self._trail.note("fault", decision)
        return decision

    def call(
        self,
        raw: Raw,
        session: Session | None = None,
        *,
        given: Given | None = None,
        origins: OriginsTold | None = None,
    ) -> Result:
        """Take a raw call the whole way; what is returned ran and ended `ok`.

        `given` are approvals that people gave elsewhere, while the call waited: they count for this one run only.
        `origins` as for `decide`.

        Raises Denied or ApprovalNeeded (nothing ran), EnvironmentLacking (nothing could run, nothing was spent),
        ToolError (it ran and did not end `ok`, or its result is withheld), or Fault and its kinds (ours).
        """
        result = self.attempt(raw, session, given=given, origins=origins)
        match result.outcome.status:
            case "ok" if not result.outcome.reason_code.startswith("after."):
                return result
            case "sandbox_failure" if not result.outcome.started:
                raise EnvironmentLacking(result.outcome.reason, result.outcome.reason_code)
            case "sandbox_failure":
                raise SandboxFailure(result.outcome.reason, result.outcome.reason_code)
            case _:
                raise ToolError(result.outcome)

    def attempt(
        self,
        raw: Raw,
        session: Session | None = None,
        *,
        given: Given | None = None,
        origins: OriginsTold | None = None,
    ) -> Result:
        """As `call`, but an outcome that is not `ok` is returned and not raised."""
        if given is not None:
            check_given(given)
        said = self._said(session, origins)
        if given is not None:
            said = replace(said, told=replace(said.told, earlier=given.origins))
        with self._in_flight(), span("sandbox.call") as told:
            try:
                result = self._go(raw, said, given)
            except SandboxError:
                raise
            except Exception as error:
                message = f"the gate failed: {self._words(error)}"
                raise Fault(message) from error
            tell_result(told, result)
            return result

    async def acall(
        self,
        raw: Raw,
        session: Session | None = None,
        *,
        given: Given | None = None,
        origins: OriginsTold | None = None,
    ) -> Result:
        """As `call`, in a thread. If the awaiting task is cancelled the call still ends, settles and is recorded."""
        return await asyncio.to_thread(self.call, raw, session, given=given, origins=origins)

    def basis(self, decision: Decision) -> str:
        """On what people are asked by this decision, beside the call: what `Given.basis` has to be when they answer.

        SHA-256 (hex) of the specs that the gate judges by and of the rules that ask.
        """
        return self._consent.basis(decision)

    def learn(self, values: object, label: str, session: Session | None = None) -> None:
        """From now on every single value in `values`, JSON, is known in this session to come from `label`.

        For what a model sees beside the results of the gate's own tools: what the user typed (`user`), or what came
        from elsewhere. Nothing happens where no spec of the gate asks for an origin.

        Raises UsageError for a label of no spec, for no JSON, and (`origin.full`) where the session has no room left:
        then every call that rests on origins is denied in it.
        """
        name = self._session(session)
        with self._store.transaction() as transaction:
            learned = self._knowledge.learn(transaction, name, values, label)
        if not learned:
            raise UsageError(TOO_MUCH, FULL)

    def forget(self, session: Session | None = None) -> None:
        """Drop what was learned in a session that is over; one that goes on would find its values unknown."""
        name = self._session(session)
        with self._store.transaction() as transaction:
            self._knowledge.forget(transaction, name)

    def nearest(
        self, raw: Raw, session: Session | None = None, *, origins: OriginsTold | None = None
    ) -> tuple[Suggestion, ...]:
        """What would be allowed in place of a denied call, one argument changed; judged by both engines, runs nothing.

        Empty where nothing near is, where the call cannot be read, and wherever something goes wrong: it is advice.
        """
        try:
            return self._nearest(raw, self._said(session, origins))
        except Exception as error:  # noqa: BLE001  # advice that cannot be had is left out
            emit("gate.nearest_failed", reason=self._words(error))
            return ()

    def attach(self, tool: str, function: HostFunction) -> None:
        """Make `function` what runs for a tool that the spec marks `run: {host: REASON}`. Once per tool."""
        declared = self._policy.tool(tool)
        if declared is None:
            message = f"`{tool}` is no tool of {self._policy.named()}"
            raise UsageError(message)
        self._host.attach(declared, function)

    def close(self) -> None:
        """Refuse further calls, wait for those on their way, and let go of the solver and the state."""
        with self._idle:
            already, self._closed = self._closed, True
            self._idle.wait_for(lambda: not self._running)
        if not already:
            self._watch.close()
            self._passage.close()
            close_engines(self._engines)
            if self._cold is not None:
                self._cold.close()
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __copy__(self) -> Self:
        return self  # one gate, one budget, one record

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a gate cannot be pickled; open it where it is needed"
        raise TypeError(message)

    # --- judging ---------------------------------------------------------------------------------

    def _said(self, session: Session | None, origins: OriginsTold | None = None) -> _Said:
        """What the host said, read. Raises UsageError where it is wrong."""
        facts, digest = read_session(self._policy, session), _session_digest(session)
        told = self._knowledge.told(session_name(self._policy, session, facts), origins)
        return _Said(digest, facts, told)

    def _session(self, session: Session | None) -> str:
        """The session that is meant. Raises UsageError where the spec declares its `id`, and it is missing."""
        said = self._said(session)
        if "id" not in said.facts and any(fact.name == "id" for fact in self._policy.session):
            message = "the host did not supply the session fact `id`; what is learned is learned in one session"
            raise UsageError(message, "session.missing")
        return said.told.session

    def _go(self, raw: Raw, said: _Said, given: Given | None) -> Result:
        with span("sandbox.judge") as told:
            call = self._parse(raw)
            decision = self._safely_judge(call, said)
            tell_decision(told, decision)
        if isinstance(call, Rejected) or decision.call is None or decision.verdict == "deny":
            raise self._trail.refuse(decision)
        with span("sandbox.prepare") as told:
            way = self._prepare(decision.call, said)
            told.note(runtime=way.prepared.runtime)
        with span("sandbox.permit") as told:
            decision, permit = self._obtain_permit(way, said, decision, given)
            tell_decision(told, decision)
        return self._passage.take(replace(way, call=permit.call), decision, permit)

    def _parse(self, raw: Raw) -> Call | Rejected:
        return parse_call(raw, self._policy, self._seal)

    def _judge(self, call: Call | Rejected, said: _Said) -> Decision:
        now = self._clock()
        with self._store.transaction() as transaction:
            refused = self._halted(transaction, call if isinstance(call, Call) else None)
            if refused is not None:
                return refused
            try:
                stored = self._load(transaction, call, said.facts, now)
                if isinstance(call, Call):
                    call = self._knowledge.with_origins(transaction, call, said.told)
            except StateFullError as full:
                return denied(call if isinstance(call, Call) else None, "state_full", str(full))
            except OriginsRefusedError as error:
                return denied(call if isinstance(call, Call) else None, error.reason_code, error.reason)
        return take_joint_step(self._engines, self._policy, stored, call, now, session=said.facts).decision

    def _halted(self, transaction: Transaction, call: Call | None) -> Decision | None:
        """The denial of every call: by the kill switch, or because another version of a spec has the state now."""
        if transaction.stopped():
            return stopped(call)
        name = transaction.superseded(self._digests)
        return replaced(call, name) if name else None

    def _load(
        self, transaction: Transaction, call: Call | Rejected, facts: Facts, now_ms: int
    ) -> dict[str, StoredState]:
        """The state of every spec that judges this call, as it is for the call's own principal and session."""
        judges = judges_of(self._policy, call)
        return {each.name: transaction.load(each, now_ms, holders_of(each, facts)) for each in judges}

    def _safely_judge(self, call: Call | Rejected, said: _Said) -> Decision:
        try:
            return self._judge(call, said)
        except Exception as error:  # noqa: BLE001  # whatever went wrong, the answer is no
            return self._failed(call, error)

    def _nearest(self, raw: Raw, said: _Said) -> tuple[Suggestion, ...]:
        call = self._parse(raw)
        if isinstance(call, Rejected):
            return ()
        now, facts = self._clock(), said.facts
        with self._store.transaction() as transaction:
            stored = self._load(transaction, call, facts, now)
        evaluators = {name: EnginePair(pair.evaluator, None) for name, pair in self._engines.items()}
        known = partial(self._with_origins, said)
        probe = Rehearsal(self._policy, evaluators, now, stored, session=facts, known=known)
        judge = Rehearsal(self._policy, self._engines, now, stored, session=facts, known=known)
        return nearest_allowed(
            call,
            self._policy.with_rules(call.tool),
            probe=lambda changed: probe.judge(changed, now).verdict == "allow",
            judge=lambda changed: judge.judge(changed, now).verdict == "allow",
        )

    def _with_origins(self, said: _Said, call: Call) -> Call:
        with self._store.transaction() as transaction:
            return self._knowledge.with_origins(transaction, call, said.told)

    # --- from a verdict to a permit --------------------------------------------------------------

    def _prepare(self, call: Call, said: _Said) -> Way:
        shared = self._policy.shared(call.tool)
        if shared is not None and shared.owner is None and self._server is not None:
            return self._prepare_served(call, shared, self._server, said)
        contract = None if shared is None else shared.owner
        tool = None if contract is None else contract.tool(call.tool)
        if shared is None or contract is None or tool is None or tool.run is None:
            reason = f"`{call.tool}` has no `run` in its spec: it is judged, and never run"
            raise self._trail.refuse(denied(call, "not_runnable", reason))
        on_host = isinstance(tool.run.what, RunHost)
        runner = self._host if on_host else self._container_runner()
        prepared = runner.prepare(contract, tool)
        isolation: Isolation = "host" if on_host else "container"
        return Way(
            call,
            shared,
            contract,
            tool,
            runner,
            isolation,
            prepared,
            said.digest,
            said.facts,
            said.told.session,
            self._seal_of(call),
        )

    def _prepare_served(self, call: Call, shared: SharedTool, server: Runner, said: _Said) -> Way:
        """What the session's server would run; one that is not as reviewed, or not there, is a denial on record."""
        contract = next((each for each in shared.judges if each.server is not None), shared.judges[0])
        tool = contract.tool(call.tool) or shared.tool
        try:
            prepared = server.prepare(contract, tool)
        except EnvironmentLacking as error:
            raise self._trail.refuse(denied(call, error.reason_code, one_line(error))) from error
        seal = self._seal_of(call)
        whose = said.told.session
        return Way(call, shared, contract, tool, server, "session", prepared, said.digest, said.facts, whose, seal)

    def _seal_of(self, call: Call) -> Seal | None:
        """The seal, where the call has secrets that its tool may repeat."""
        return None if call.masked is None else self._seal

    def _obtain_permit(self, way: Way, said: _Said, decision: Decision, given: Given | None) -> tuple[Decision, Permit]:
        """Approve as often as the state demands, then reserve; raises Denied or ApprovalNeeded."""
        approvals: tuple[Approval, ...] = ()
        if given is not None and decision.verdict == "ask":
            approvals = self._consent.present(way.call, decision, given, way.facts)
        nonce = secrets.token_hex(16) if given is None else given.nonce
        for _ in range(MAX_ROUNDS):
            if decision.verdict == "ask":
                approvals = self._consent.obtain(way.call, way.shared.tool, decision, approvals)
            asked = self.basis(decision) if decision.verdict == "ask" else ""
            decision, permit = self._reserve(way, said, approvals, nonce, asked)
            if permit is not None:
                return decision, permit
            if decision.call is None or decision.verdict == "deny":
                raise self._trail.refuse(decision)
            if decision.call.origins != way.call.origins or self.basis(decision) != asked:  # nobody has seen it so
                way, approvals = replace(way, call=decision.call), ()
        raise self._trail.wait(decision, "the state kept changing while the call waited for a person; try again")

    def _reserve(
        self, way: Way, said: _Said, approvals: tuple[Approval, ...], nonce: str, asked: str
    ) -> tuple[Decision, Permit | None]:
        """Decide again and, if the call may run, spend and reserve: all in one transaction, or nothing.

        With the origins of now, and those that were judged before: no label is lost while a person thinks. `asked` is
        the basis of what people have answered.
        """
        facts, told = said.facts, replace(said.told, earlier=way.call.origins)
        try:
            with self._store.transaction() as transaction:
                halted = self._halted(transaction, way.call)
                if halted is not None:
                    return halted, None
                if transaction.reservation(nonce) is not None:
                    return denied(
                        way.call, "approval.used", "what was approved elsewhere has led to a run already"
                    ), None
                now = self._clock()
                before = self._load(transaction, way.call, facts, now)
                call = self._knowledge.with_origins(transaction, way.call, told)
                step = take_joint_step(self._engines, self._policy, before, call, now, session=facts)
                seen = step.decision.verdict != "ask" or (
                    call.origins == way.call.origins and self.basis(step.decision) == asked
                )
                if step.after is None or not seen or not is_enough(step.decision, approvals, now):
                    return step.decision, None
                permit = self._permit(replace(way, call=call), approvals, now, transaction.kill_epoch(), nonce)
                for each in way.shared.judges:
                    transaction.save(each, step.after[each.name], holders_of(each, facts))
                transaction.reserve(Reservation(permit.nonce, way.tool.name, way.call.digest, now))
        except StateFullError as full:
            return denied(way.call, "state_full", str(full)), None
        except OriginsRefusedError as error:
            return denied(way.call, error.reason_code, error.reason), None
        except Exception as error:  # noqa: BLE001  # no permit left this function: nothing runs
            return self._failed(way.call, error), None
        return step.decision, permit

    def _permit(self, way: Way, approvals: tuple[Approval, ...], now_ms: int, epoch: int, nonce: str) -> Permit:
        return Permit(
            nonce=nonce,
            call=way.call,
            contract_digest=dict(self._digests)[way.contract.name],
            contracts=self._digests,
            session_digest=way.session_digest,
            run_digest=way.prepared.run_digest,
            image_digest=way.prepared.image_digest,
            source_digest=way.prepared.source_digest,
            expires_at_ms=min((now_ms + PERMIT_LIFETIME_MS, *(each.expires_at_ms for each in approvals))),
            epoch=epoch,
            approved_by=names(approvals),
        )

    def _failed(self, call: Call | Rejected | None, error: Exception) -> Decision:
        """The denial for an error of ours."""
        known = call if isinstance(call, Call) else None
        return denied(known, "fault.internal", f"the gate failed and so denies: {self._words(error)}")

    def _words(self, error: Exception) -> str:
        """What may be told of an error; where calls have secrets, nothing that a foreign library put into it."""
        return one_line(error) if self._seal is None else named(error)

    # --- opening and closing ---------------------------------------------------------------------

    def _recover(self, proofs: Checked) -> None:
        """Take the state over; what a dead process left unfinished keeps its budget, and its containers go."""
        with self._store.transaction() as transaction:
            self._knowledge.open(transaction)
            lost = recover(
                transaction, self._policy, proofs, self._trail, record=self._audit.path, now_ms=self._clock()
            )
        if lost:
            emit("gate.interrupted", count=lost)
            self._reap()

    def _reap(self) -> None:
        """Remove the containers that dead processes left; where no engine answers, none of them runs."""
        if self._runner is not None:
            return
        from sandbox.execute.podman import connect  # noqa: PLC0415  # only after a crash, and else when something runs
        from sandbox.execute.reap import reap  # noqa: PLC0415  # as above

        try:
            engine = connect()
            try:
                emit("gate.reaped", count=reap(engine))
            finally:
                engine.close()
        except SandboxError as error:
            emit("gate.not_reaped", reason=one_line(error))

    def _container_runner(self) -> Runner:
        if self._runner is not None:
            return self._runner
        from sandbox.execute.cold import ColdRunner  # noqa: PLC0415  # only those pay for it who run something

        with self._idle:
            if self._cold is None:
                self._cold = ColdRunner()
            return self._cold

    def _runners(self) -> tuple[Runner, ...]:
        """Those that may keep something ready for calls."""
        return tuple(each for each in (self._runner, self._server) if each is not None)

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        token = object()
        try:  # all of it in here, for an interrupt may come between any two lines
            with self._idle:
                if self._closed:
                    message = "the gate is closed"
                    raise UsageError(message)
                self._running.add(token)
            yield
        finally:
            with self._idle:
                self._running.discard(token)
                self._idle.notify_all()


def _each(approver: Approver | Sequence[Approver] | None) -> tuple[Approver, ...]:
    if approver is None:
        return ()
    return tuple(approver) if isinstance(approver, Sequence) else (approver,)


def _session_digest(session: Session | None) -> str:
    try:
        return json_digest(cast("Mapping[str, Json]", dict(session or {})))
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        message = f"the session is no JSON object: {one_line(error)}"
        raise UsageError(message) from error
