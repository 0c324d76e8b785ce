"""Unit: one gate on several specs: each call is judged by every spec that describes its tool; the strictest wins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from gatekit import NOON, PAYMENTS, STRANGER, HandClock, SpyRunner, kinds, left_running, payment, records

from sandbox import ir
from sandbox.approve import ApprovalRequest, Approver, ScriptedApprover
from sandbox.call import Decision, Outcome
from sandbox.compile import load_contract
from sandbox.errors import ApprovalNeeded, Denied, EnvironmentLacking, UsageError
from sandbox.gate import Gate
from sandbox.policy import Member, Policy
from sandbox.receipts import check_receipts

CEILING = """\
sandbox: 1
name: ceiling
state:
  seen: {type: int, initial: 0}
tools:
  send_money:
    args:
      recipient: {type: string, pattern: "[A-Z]{2}[0-9A-Z]{13,32}"}
      amount:    {type: decimal, scale: 2, min: 0.01, max: 1000000}
      note:      {type: text, max_size: 140, optional: true}
    rules:
      - {id: much, deny: args.amount > 3000.00}
      - {id: busy, ask: state.seen >= 2, approvers: 2, expires: 1m}
      - {id: rest, allow: true}
    then: {seen: state.seen + 1}
"""

EXTENDING = PAYMENTS.replace("owner: payments-team", "owner: payments-team\nextends: ceiling.yaml")


def write(folder: Path, payments: str = EXTENDING, **others: str) -> Path:
    for name, text in {"ceiling": CEILING, "payments": payments, **others}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "payments.yaml"


def open_on(
    *specs: Path,
    runner: SpyRunner | None = None,
    approver: Approver | Sequence[Approver] | None = None,
    clock: HandClock | None = None,
    proved: Sequence[Path] = (),
) -> Gate:
    """A gate on these specs without a solver, whose contracts (and those at `proved`) count as proved."""
    digests = [ir.digest(load_contract(spec)) for spec in (*specs, *proved)]
    return Gate.open(
        specs,
        runner=runner or SpyRunner(),
        approver=approver,
        clock=clock or HandClock(),
        engine="evaluator",
        proved_digest=digests,
    )


def extending(folder: Path, **settings: object) -> Gate:
    """The payments spec below its ceiling."""
    spec = write(folder)
    return open_on(spec, proved=[folder / "ceiling.yaml"], **settings)


def said(decision: Decision) -> tuple[str, str, str, str]:
    return decision.verdict, decision.reason_code, decision.spec, decision.rule


def states(gate: Gate) -> dict[str, dict[str, object]]:
    """What is stored, by spec: windows as the sum of their events."""
    with gate._store.transaction() as transaction:
        return {
            each.name: {
                **transaction.load(each, NOON).values,
                **{
                    name: sum(amount for _, amount in events)
                    for name, events in transaction.load(each, NOON).events.items()
                },
            }
            for each in gate.policy.contracts
        }


# --- the verdict -------------------------------------------------------------------------------------


def test_the_stricter_verdict_wins_whichever_spec_gives_it(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        assert said(gate.decide(payment(amount="10.00"))) == ("allow", "rule.allow", "payments", "trusted")
        assert said(gate.decide(payment(amount="2000.00"))) == ("ask", "rule.ask", "payments", "human")
        assert said(gate.decide(payment(amount="4000.00"))) == ("deny", "rule.deny", "ceiling", "much")
        assert said(gate.decide(payment(amount="6000.00"))) == ("deny", "rule.deny", "payments", "over-limit")


def test_the_reason_names_every_rule_of_every_spec_that_fired(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        decision = gate.decide(payment(amount="6000.00"))
        assert decision.fired == ("payments/over-limit", "ceiling/much", "ceiling/rest")
        assert decision.reason == (
            "`payments`: denied by rule `over-limit`: state.sent_today + args.amount > 5000.00; "
            "`ceiling`: denied by rule `much`: args.amount > 3000.00 (also true: `rest`)"
        )
        allowed = gate.decide(payment())
        assert allowed.reason == (
            "`payments`: allowed by rule `trusted`: args.recipient in trusted && args.amount <= 1000.00; "
            "`ceiling`: allowed by rule `rest`: true"
        )


def test_a_tool_that_the_ceiling_does_not_describe_is_denied(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        decision = gate.decide({"tool": "balance", "args": {}})
        assert said(decision) == ("deny", "ceiling.unknown_tool", "ceiling", "")
        assert decision.reason == "the ceiling `ceiling` does not describe `balance`"
        assert decision.call is not None
        with pytest.raises(Denied):
            gate.call({"tool": "balance", "args": {}})


def test_a_ceiling_adds_no_tool(tmp_path: Path) -> None:
    more = CEILING + "  extra: {rules: [{id: all, allow: true}]}\n"
    spec = write(tmp_path, ceiling=more)
    with open_on(spec, proved=[tmp_path / "ceiling.yaml"]) as gate:
        assert gate.decide({"tool": "extra", "args": {}}).reason_code == "unknown_tool"
    with open_on(spec, tmp_path / "ceiling.yaml") as gate:  # given, too: then its tools are the gate's
        assert gate.decide({"tool": "extra", "args": {}}).verdict == "allow"
        assert said(gate.decide(payment(amount="4000.00")))[:3] == ("deny", "rule.deny", "ceiling")


def test_given_specs_bring_their_own_tools_and_share_what_both_describe(tmp_path: Path) -> None:
    spec = write(tmp_path, PAYMENTS)
    with open_on(spec, tmp_path / "ceiling.yaml") as gate:
        assert [tool.name for tool in gate.policy.tools] == ["send_money", "balance"]
        assert said(gate.decide({"tool": "balance", "args": {}})) == ("allow", "rule.allow", "payments", "all")
        assert said(gate.decide(payment(amount="4000.00"))) == ("deny", "rule.deny", "ceiling", "much")


def test_a_ceiling_bounds_every_spec_of_its_gate(tmp_path: Path) -> None:
    tools = "sandbox: 1\nname: tools\ntools: {extra: {rules: [{id: all, allow: true}]}}\n"
    spec = write(tmp_path, tools=tools)
    with open_on(spec, tmp_path / "tools.yaml", proved=[tmp_path / "ceiling.yaml"]) as gate:
        assert gate.decide({"tool": "extra", "args": {}}).reason_code == "ceiling.unknown_tool"


def test_a_chain_of_ceilings_judges_as_one(tmp_path: Path) -> None:
    top = CEILING.replace("name: ceiling", "name: top").replace("3000.00", "500.00")
    middle = CEILING.replace("name: ceiling", "name: ceiling\nextends: top.yaml")
    spec = write(tmp_path, ceiling=middle, top=top)
    with open_on(spec, proved=[tmp_path / "ceiling.yaml", tmp_path / "top.yaml"]) as gate:
        assert said(gate.decide(payment(amount="501.00"))) == ("deny", "rule.deny", "top", "much")
        assert [contract.name for contract in gate.policy.contracts] == ["payments", "ceiling", "top"]


def test_a_ceiling_of_two_specs_judges_once(tmp_path: Path) -> None:
    second = EXTENDING.replace("name: payments", "name: second").replace("    run:  {tool", "    # run:  {tool")
    spec = write(tmp_path, second=second)
    runner = SpyRunner()
    with open_on(spec, tmp_path / "second.yaml", runner=runner, proved=[tmp_path / "ceiling.yaml"]) as gate:
        gate.call(payment())
        assert states(gate)["ceiling"] == {"seen": 1}
        assert gate.decide(payment()).fired == ("payments/trusted", "ceiling/rest", "second/trusted")


def test_both_engines_of_both_specs_confirm(tmp_path: Path) -> None:
    with Gate.open(write(tmp_path), runner=SpyRunner(), clock=HandClock()) as gate:
        assert gate.decide(payment()).engines.solver == "allow"
        gate.call(payment())
        assert states(gate) == {"payments": {"sent_today": 1000}, "ceiling": {"seen": 1}}


# --- what is spent -----------------------------------------------------------------------------------


def test_then_is_applied_in_every_spec_that_judged(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        gate.call(payment(amount="10.00"))
        gate.call(payment(amount="20.00"))
        assert states(gate) == {"payments": {"sent_today": 3000}, "ceiling": {"seen": 2}}


def test_nothing_is_spent_where_one_of_them_denies(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        with pytest.raises(Denied):
            gate.call(payment(amount="4000.00"))
        with pytest.raises(ApprovalNeeded):
            gate.call(payment(amount="2000.00"))
        assert states(gate) == {"payments": {"sent_today": 0}, "ceiling": {"seen": 0}}


def test_nothing_is_spent_of_a_spec_that_did_not_judge(tmp_path: Path) -> None:
    runnable = PAYMENTS.replace("    rules: [{id: all", "    run: {argv: [/bin/true]}\n    rules: [{id: all")
    spec = write(tmp_path, runnable)
    with open_on(spec, tmp_path / "ceiling.yaml") as gate:
        gate.call({"tool": "balance", "args": {}})
        assert states(gate)["ceiling"] == {"seen": 0}
        with gate._store.transaction() as transaction:
            assert (transaction.version("payments"), transaction.version("ceiling")) == (1, 0)


def test_what_never_started_is_given_back_to_every_spec(tmp_path: Path) -> None:
    failing = SpyRunner(lambda _: Outcome("sandbox_failure", "sandbox_failure.start", "", started=False))
    with extending(tmp_path, runner=failing) as gate:
        with pytest.raises(EnvironmentLacking):
            gate.call(payment())
        assert states(gate) == {"payments": {"sent_today": 0}, "ceiling": {"seen": 0}}


def test_what_never_started_is_given_back_to_none_if_one_state_has_moved(tmp_path: Path) -> None:
    other = CEILING.replace("name: ceiling", "name: other\nextends: ceiling.yaml").replace(
        "    then: {seen: state.seen + 1}\n", "    run: {argv: [/bin/true]}\n    then: {seen: state.seen + 1}\n"
    )
    spec = write(tmp_path, other=other)
    second = open_on(tmp_path / "other.yaml", proved=[tmp_path / "ceiling.yaml"])

    def behave(_: object) -> Outcome:
        second.call(payment())  # another gate, below the same ceiling, on the same state
        return Outcome("sandbox_failure", "sandbox_failure.start", "", started=False)

    with second, open_on(spec, runner=SpyRunner(behave), proved=[tmp_path / "ceiling.yaml"]) as gate:
        with pytest.raises(EnvironmentLacking):
            gate.call(payment())
        assert states(gate) == {"payments": {"sent_today": 1000}, "ceiling": {"seen": 2}}
    assert records(tmp_path)[-2]["body"]["restored"] is False


def test_what_a_dead_process_reserved_stays_spent_in_every_spec(tmp_path: Path) -> None:
    def dies(_: object) -> Outcome:
        raise SystemExit

    with extending(tmp_path, runner=SpyRunner(dies)) as gate:
        with pytest.raises(SystemExit):
            gate.call(payment())
        left_running(gate)
    with extending(tmp_path) as gate:
        assert states(gate) == {"payments": {"sent_today": 1000}, "ceiling": {"seen": 1}}
    assert kinds(tmp_path)[-1] == "interrupted"


# --- people ------------------------------------------------------------------------------------------


class Asked:
    """Says yes, and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[ApprovalRequest] = []

    def review(self, request: ApprovalRequest) -> object:
        self.requests.append(request)
        return ScriptedApprover(self.name).review(request)


def test_as_many_approve_as_the_most_demanding_spec_wants_in_the_shortest_time(tmp_path: Path) -> None:
    ann, bob = Asked("ann"), Asked("bob")
    with extending(tmp_path, approver=(ann, bob)) as gate:
        gate.call(payment())
        gate.call(payment())
        decision = gate.decide(payment(amount="2000.00"))  # asked by both: one person for 15 minutes, two for one
        assert (decision.approvers, decision.expires_ms) == (2, 60_000)
        result = gate.call(payment(amount="2000.00"))
    assert result.receipt.approved_by == ("ann", "bob")
    assert {request.expires_at_ms - NOON for request in (*ann.requests, *bob.requests)} == {60_000}


def test_who_is_asked_by_one_spec_only_is_asked_as_that_spec_says(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        one = gate.decide(payment(amount="2000.00"))
        assert (one.spec, one.approvers, one.expires_ms) == ("payments", 1, 900_000)
        gate.call(payment())
        gate.call(payment())
        two = gate.decide(payment())
        assert (two.spec, two.rule, two.approvers, two.expires_ms) == ("ceiling", "busy", 2, 60_000)
        with pytest.raises(ApprovalNeeded):
            gate.call(payment())


# --- what is bound and recorded ----------------------------------------------------------------------


def test_permit_receipt_and_record_bind_every_spec(tmp_path: Path) -> None:
    runner = SpyRunner()
    with extending(tmp_path, runner=runner) as gate:
        digests = {each.name: ir.digest(each) for each in gate.policy.contracts}
        result = gate.call(payment())
    assert dict(runner.permits[0].contracts) == digests
    assert runner.permits[0].contract_digest == digests["payments"]
    assert result.receipt.contracts == digests
    intent, outcome = records(tmp_path)
    assert intent["body"]["contracts"] == digests
    assert intent["body"]["decision"]["spec"] == "payments"
    assert outcome["body"]["receipt"]["contracts"] == digests
    assert check_receipts(tmp_path / ".sandbox" / "state.audit.jsonl").receipts == 1


def test_a_permit_of_other_specs_is_void(tmp_path: Path) -> None:
    runner = SpyRunner()
    with extending(tmp_path, runner=runner) as gate:
        gate._passage._digests = gate._passage._digests[:1]  # what it finds bound is more than what it was made for
        with pytest.raises(Denied) as denied:
            gate.call(payment())
        assert denied.value.reason_code == "permit.changed"
        assert states(gate)["ceiling"] == {"seen": 0}
    assert runner.permits == []


def test_the_spec_that_has_run_is_the_one_whose_folder_counts(tmp_path: Path) -> None:
    class Seeing(SpyRunner):
        def prepare(self, contract: ir.Contract, tool: ir.Tool) -> object:
            seen.append((contract.name, tool.run is not None, len(tool.rules)))
            return super().prepare(contract, tool)

    seen: list[tuple[str, bool, int]] = []
    without = PAYMENTS.replace("    run:  {tool: tools.payments:send_money, timeout: 10s}\n", "")
    with_run = CEILING + "    run: {argv: [/bin/true]}\n"
    spec = write(tmp_path, without, ceiling=with_run)
    with open_on(spec, tmp_path / "ceiling.yaml", runner=Seeing()) as gate:
        result = gate.call(payment())
    assert seen == [("ceiling", True, 3)]
    assert result.receipt.contract_digest == result.receipt.contracts["ceiling"]


# --- the session -------------------------------------------------------------------------------------


def test_the_facts_of_every_spec_are_needed_and_read(tmp_path: Path) -> None:
    ceiling = CEILING.replace("state:", "session: {role: {type: enum, values: [clerk, boss]}}\nstate:").replace(
        "args.amount > 3000.00", "args.amount > 3000.00 || session.role == 'clerk'"
    )
    spec = write(tmp_path, ceiling=ceiling)
    with open_on(spec, proved=[tmp_path / "ceiling.yaml"]) as gate:
        assert gate.decide(payment()).reason_code == "session.missing"
        assert gate.decide(payment(), {"role": "boss"}).verdict == "allow"
        assert gate.decide(payment(), {"role": "clerk"}).verdict == "deny"
        with pytest.raises(UsageError, match="`role`"):
            gate.call(payment(), {"role": "king"})


# --- the kill switch, and opening --------------------------------------------------------------------


def test_one_kill_switch_stops_all_of_it(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        with gate._store.transaction() as transaction:
            transaction.stop()
        assert gate.decide(payment()).reason_code == "stopped"


def test_the_evaluator_alone_needs_the_digest_of_every_spec(tmp_path: Path) -> None:
    spec = write(tmp_path)
    digest = ir.digest(load_contract(tmp_path / "ceiling.yaml"))
    with pytest.raises(UsageError, match=f"needs proved_digest=`{digest}`"):
        Gate.open(spec, engine="evaluator", proved_digest=ir.digest(load_contract(spec)))


def test_a_ceiling_that_requires_proofs_opens_only_with_them(tmp_path: Path) -> None:
    ceiling = CEILING.replace("state:", "require_proofs: proofs.yaml\nstate:")
    spec = write(tmp_path, ceiling=ceiling)
    (tmp_path / "proofs.yaml").write_text("proves: ceiling.yaml\nproperties: [{id: p, always: state.seen >= 0}]\n")
    with pytest.raises(UsageError) as refused:
        Gate.open(spec)
    assert refused.value.reason_code == "proofs.stale"


def test_a_workspace_of_one_spec_may_not_touch_the_state_of_the_gate(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    run = "    run: {argv: [/bin/true], workspace: {source: work, mode: rw}}\n"
    write(tmp_path, PAYMENTS.replace("    run:  {tool: tools.payments:send_money, timeout: 10s}\n", run))
    with pytest.raises(UsageError, match="overlap"):
        Gate.open([tmp_path / "payments.yaml"], state=f"sqlite:///{tmp_path}/work/state.db")


def test_the_state_lies_beside_the_first_spec(tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "ceiling.yaml").write_text(CEILING)
    spec = write(tmp_path, EXTENDING.replace("ceiling.yaml", "org/ceiling.yaml"))
    with open_on(spec, proved=[tmp_path / "org" / "ceiling.yaml"]) as gate:
        gate.call(payment())
    assert (tmp_path / ".sandbox" / "state.db").exists()
    assert not (tmp_path / "org" / ".sandbox").exists()


def test_a_secret_of_one_spec_is_a_secret_of_the_gate(tmp_path: Path) -> None:
    write(tmp_path)
    payments, ceiling = load_contract(tmp_path / "payments.yaml"), load_contract(tmp_path / "ceiling.yaml")
    (tool,) = ceiling.tools
    hidden = tuple(replace(argument, secret=argument.name == "note") for argument in tool.arguments)
    ceiling = replace(ceiling, tools=(replace(tool, arguments=hidden),))
    policy = Policy((Member(payments), Member(ceiling, given=False, ceiling=True)))
    merged = policy.tool("send_money")
    assert merged is not None
    assert [argument.name for argument in merged.arguments if argument.secret] == ["note"]


def test_a_merged_tool_denies_if_it_were_judged(tmp_path: Path) -> None:
    with extending(tmp_path) as gate:
        assert [tool.rules for tool in gate.policy.tools] == [(), ()]
        assert json.dumps(ir.to_json(gate.policy.tools[0]))
        assert gate.decide(payment(STRANGER, "10.00")).verdict == "ask"


# --- what a success enables --------------------------------------------------------------------------

NOTING = {
    "payments": PAYMENTS.replace("state:\n", "state:\n  done: {type: bool, initial: false}\n").replace(
        "    run:  {tool", "    on_success: {done: true}\n    run:  {tool"
    ),
    "ceiling": CEILING.replace("state:\n", "state:\n  paid: {type: bool, initial: false}\n")
    + "    on_success: {paid: true}\n",
}


def noted(gate: Gate) -> tuple[object, object]:
    found = states(gate)
    return found["payments"]["done"], found["ceiling"]["paid"]


def test_a_success_is_noted_in_every_spec_that_judged(tmp_path: Path) -> None:
    spec = write(tmp_path, **NOTING)
    with open_on(spec, tmp_path / "ceiling.yaml") as gate:
        gate.call(payment())
        assert noted(gate) == (True, True)
    assert records(tmp_path)[-1]["body"]["on_success"] == "stored"


def test_a_success_is_noted_in_no_spec_if_one_of_them_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write(tmp_path, **NOTING)
    with open_on(spec, tmp_path / "ceiling.yaml") as gate:
        monkeypatch.setattr(gate._engines["ceiling"].evaluator, "success", lambda *_: 1 / 0)
        gate.call(payment())
        assert noted(gate) == (False, False)
    assert records(tmp_path)[-1]["body"]["on_success"] == "fault.internal"
