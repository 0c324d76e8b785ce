"""Unit: a spec changes while its state stays; what no longer fits, or no proof speaks of, does not open."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import NOON, OK, HandClock, SpyRunner, kinds, records, spec_file

from sandbox import ir
from sandbox.audit import verify
from sandbox.call import Outcome
from sandbox.compile import load_contract, load_properties
from sandbox.errors import Denied, EnvironmentLacking, UsageError
from sandbox.gate import Gate
from sandbox.prove.ledger import Entry, digest_of, key_of, write_ledger

SPEC = """\
sandbox: 1
name: shop
state:
  sold: {type: int, initial: 0}
  spent: {type: decimal, scale: 2, initial: 0, reset: 24h}
  recent: {type: int, initial: 0, window: 24h}
  phase: {type: enum, values: [open, busy, closed], initial: open}
tools:
  sell:
    args: {k: {type: bool}}
    rules: [{id: all, allow: state.sold < 100}]
    then:
      sold: state.sold + 1
      spent: state.spent + 1.50
      recent: state.recent + 1
      phase: "'busy'"
    run: {argv: [/bin/true]}
"""
CALL = {"tool": "sell", "args": {"k": True}}


def open_on(folder: Path, text: str = SPEC, runner: SpyRunner | None = None, clock: HandClock | None = None) -> Gate:
    spec = spec_file(folder, text, "shop.yaml")
    digest = ir.digest(load_contract(spec))
    return Gate.open(
        spec, runner=runner or SpyRunner(), clock=clock or HandClock(), engine="evaluator", proved_digest=digest
    )


def sold_once(folder: Path) -> None:
    with open_on(folder) as gate:
        gate.call(CALL)


def changed(*pairs: tuple[str, str]) -> str:
    text = SPEC
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def without(name: str) -> str:
    """The spec without one of its variables, and without the line that writes it."""
    lines = SPEC.splitlines(keepends=True)
    return "".join(line for line in lines if not line.strip().strip('"').startswith((f"{name}:", f"{name}[")))


REMEDY = "restore the declaration, or choose another state with --state to begin with all budgets at `initial`"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (without("sold").replace("state.sold < 100", "true"), "the variable `sold` is gone from the spec"),
        (changed(("sold", "sales")), "the variable `sold` is gone from the spec"),
        (changed(("sold: {type: int, initial: 0}", "sold: {type: decimal, scale: 0, initial: 0}")),
         "`sold` was stored as `int`, and the spec says `decimal 0`"),
        (changed(("spent: {type: decimal, scale: 2,", "spent: {type: decimal, scale: 3,")),
         "`spent` was stored as `decimal 2 reset 86400000`, and the spec says `decimal 3 reset 86400000`"),
        (changed(("reset: 24h", "reset: 48h")),
         "`spent` was stored as `decimal 2 reset 86400000`, and the spec says `decimal 2 reset 172800000`"),
        (changed((", reset: 24h", "")),
         "`spent` was stored as `decimal 2 reset 86400000`, and the spec says `decimal 2`"),
        (changed(("initial: 0, reset: 24h", "initial: 0, window: 24h")),
         "`spent` was stored as `decimal 2 reset 86400000`, and the spec says `decimal 2 window 86400000`"),
        (changed(("recent: {type: int, initial: 0, window: 24h}", "recent: {type: int, initial: 0, window: 12h}")),
         "`recent` was stored as `int window 86400000`, and the spec says `int window 43200000`"),
        (changed(("open, busy, closed", "open, closed"), ("'busy'", "'closed'")),
         "`phase` holds `busy`, which is none of its values in the spec"),
    ],
)  # fmt: skip
def test_what_no_longer_fits_does_not_open_and_says_what_to_do(text: str, what: str, tmp_path: Path) -> None:
    sold_once(tmp_path)
    with pytest.raises(UsageError) as refused:
        open_on(tmp_path, text)
    assert str(refused.value) == f"the stored state of `shop` does not fit the spec: {what}; {REMEDY}"
    assert refused.value.reason_code == "state.misfit"
    with open_on(tmp_path) as gate:  # the earlier spec still has its state
        assert stored(gate)["sold"] == 1


def stored(gate: Gate) -> dict[str, object]:
    with gate._store.transaction() as transaction:
        return dict(transaction.load(gate.contract, NOON).values)


@pytest.mark.parametrize(
    "text",
    [
        changed(("initial: 0, reset: 24h", "initial: 9, reset: 24h")),
        changed(("sold: {type: int, initial: 0}", "sold: {type: int, initial: 7}")),
        changed(("open, busy, closed", "closed, busy, open, gone")),
        changed(("state:\n", "state:\n  fresh: {type: int, initial: 3}\n")),
        changed(("state.sold < 100", "state.sold < 99")),
        changed(("name: shop", "name: shop\nowner: somebody-else")),
    ],
)
def test_what_still_fits_opens_with_what_is_stored_and_goes_on_record(text: str, tmp_path: Path) -> None:
    sold_once(tmp_path)
    before = ir.digest(load_contract(tmp_path / "shop.yaml"))
    with open_on(tmp_path, text) as gate:
        assert (stored(gate)["sold"], stored(gate)["spent"]) == (1, 150)
        after = ir.digest(gate.contract)
    change = records(tmp_path)[-1]
    assert (change["kind"], change["body"]) == ("spec_changed", {"spec": "shop", "before": before, "after": after})
    open_on(tmp_path, text).close()
    assert kinds(tmp_path).count("spec_changed") == 1
    verify(tmp_path / ".sandbox" / "state.audit.jsonl")


def test_a_new_initial_is_where_the_next_period_begins(tmp_path: Path) -> None:
    clock = HandClock()
    sold_once(tmp_path)
    with open_on(tmp_path, changed(("initial: 0, reset: 24h", "initial: 9, reset: 24h")), clock=clock) as gate:
        clock.pass_hours(24)
        gate.call(CALL)
        assert stored(gate)["spent"] == 1050


# --- two gates on one state --------------------------------------------------------------------------

NEWER = changed(("state.sold < 100", "state.sold < 1"))
SUPERSEDED = "another version of `shop` was opened on this state since; open this gate anew"


def test_a_gate_whose_state_belongs_to_another_version_denies_everything(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_on(tmp_path, runner=runner) as older:
        assert older.decide(CALL).verdict == "allow"
        with open_on(tmp_path, NEWER) as newer:
            decision = older.decide(CALL)
            assert (decision.verdict, decision.reason_code, decision.reason) == ("deny", "state.superseded", SUPERSEDED)
            with pytest.raises(Denied, match="opened on this state since"):
                older.call(CALL)
            newer.call(CALL)
            with pytest.raises(Denied, match="no rule of"):
                newer.call(CALL)
        with open_on(tmp_path) as again:  # whoever opens last has the state
            assert again.decide(CALL).verdict == "allow"
            assert older.decide(CALL).verdict == "allow"  # the very same spec
    assert runner.permits == []
    assert kinds(tmp_path).count("spec_changed") == 2


def test_a_permit_of_a_spec_that_was_replaced_meanwhile_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = SpyRunner()
    with open_on(tmp_path, runner=runner) as older:
        intend = older._trail.intend

        def replaced_while_recording(*details: object) -> None:
            intend(*details)
            open_on(tmp_path, NEWER).close()

        monkeypatch.setattr(older._trail, "intend", replaced_while_recording)
        with pytest.raises(Denied) as denied:
            older.call(CALL)
        assert denied.value.reason_code == "state.superseded"
    assert runner.permits == []
    assert [record["body"]["restored"] for record in records(tmp_path) if record["kind"] == "cancelled"] == [False]
    with open_on(tmp_path, NEWER) as newer:
        assert stored(newer)["sold"] == 1  # what was spent stays spent


def test_what_a_replaced_spec_spent_is_not_given_back(tmp_path: Path) -> None:
    def behave(_: object) -> Outcome:
        open_on(tmp_path, NEWER).close()
        return Outcome("sandbox_failure", "sandbox_failure.start", "", started=False)

    with open_on(tmp_path, runner=SpyRunner(behave)) as older, pytest.raises(EnvironmentLacking):
        older.call(CALL)
    assert records(tmp_path)[-2]["body"]["restored"] is False
    with open_on(tmp_path, NEWER) as newer:
        assert stored(newer)["sold"] == 1


def test_a_call_of_a_replaced_spec_settles_and_enables_nothing(tmp_path: Path) -> None:
    text = changed(
        ("    run:", "    on_success: {done: true}\n    run:"),
        ("state:\n", "state:\n  done: {type: bool, initial: false}\n"),
    )
    newer = text.replace("state.sold < 100", "state.sold < 1")

    def behave(_: object) -> Outcome:
        open_on(tmp_path, newer).close()
        return OK

    with open_on(tmp_path, text, runner=SpyRunner(behave)) as older:
        assert older.call(CALL).outcome.status == "ok"
    assert records(tmp_path)[-1]["body"]["on_success"] == "state.superseded"
    with open_on(tmp_path, newer) as gate:
        assert (stored(gate)["sold"], stored(gate)["done"]) == (1, False)


def test_a_ceiling_that_changes_supersedes_every_gate_below_it(tmp_path: Path) -> None:
    ceiling = "sandbox: 1\nname: top\ntools: {sell: {args: {k: {type: bool}}, rules: [{id: all, allow: true}]}}\n"
    spec_file(tmp_path, ceiling, "top.yaml")
    below = changed(("name: shop", "name: shop\nextends: top.yaml"))
    spec = spec_file(tmp_path, below, "shop.yaml")

    def opened() -> Gate:
        digests = [ir.digest(load_contract(tmp_path / name)) for name in ("shop.yaml", "top.yaml")]
        return Gate.open(spec, runner=SpyRunner(), clock=HandClock(), engine="evaluator", proved_digest=digests)

    with opened() as older:
        spec_file(tmp_path, ceiling.replace("allow: true", "ask: true"), "top.yaml")
        with opened() as newer:
            assert newer.decide(CALL).verdict == "ask"
            assert older.decide(CALL).reason == SUPERSEDED.replace("shop", "top")


# --- what the proofs speak of ------------------------------------------------------------------------


def prove(folder: Path, properties: str, verdict: str = "proved") -> None:
    """Property files beside the spec, where a gate finds them, and a ledger that says this verdict of all of them."""
    file = spec_file(folder, f"proves: ../shop.yaml\nproperties:\n{properties}", "proofs/shop.yaml")
    (each,) = load_properties(file)
    entries = {
        key_of(file, each.contract, subject): Entry(
            digest_of(each.contract, subject, each.properties), subject.kind, verdict
        )
        for subject in each.properties
    }
    write_ledger(folder / "proofs", entries)


OUTSIDE = "the stored state of `shop` is none that its proofs speak of: "
BEGIN = "restore the spec, or choose another state with --state to begin with all budgets at `initial`"


def test_proved_invariants_are_held_against_the_state_though_nothing_requires_proofs(tmp_path: Path) -> None:
    sold_once(tmp_path)
    prove(tmp_path, "  - {id: none-sold, always: state.sold <= 0}\n")
    with pytest.raises(UsageError) as refused:
        open_on(tmp_path)
    assert str(refused.value) == f"{OUTSIDE}`none-sold` is false of it; {BEGIN}"
    assert refused.value.reason_code == "state.unproved"


def test_what_nothing_writes_any_more_must_stand_at_initial_where_something_is_proved(tmp_path: Path) -> None:
    sold_once(tmp_path)
    idle = changed(("      sold: state.sold + 1\n", ""))
    spec_file(tmp_path, idle, "shop.yaml")
    prove(tmp_path, "  - {id: never-many, never: state.sold > 50}\n")
    with pytest.raises(UsageError) as refused:
        open_on(tmp_path, idle)
    assert (
        str(refused.value)
        == f"{OUTSIDE}`sold` is stored as `1`, nothing writes it, and the spec begins with `0`; {BEGIN}"
    )


@pytest.mark.parametrize("verdict", ["refuted", "unknown", "bounded", "vacuous"])
def test_what_is_not_proved_is_not_held_against_the_state(verdict: str, tmp_path: Path) -> None:
    sold_once(tmp_path)
    prove(tmp_path, "  - {id: none-sold, always: state.sold <= 0}\n", verdict)
    open_on(tmp_path).close()


def test_proofs_of_another_version_are_not_held_against_the_state(tmp_path: Path) -> None:
    sold_once(tmp_path)
    prove(tmp_path, "  - {id: none-sold, always: state.sold <= 0}\n")
    open_on(tmp_path, NEWER).close()


def test_a_state_that_was_checked_stays_so_should_the_clock_be_set_back(tmp_path: Path) -> None:
    clock = HandClock()
    with open_on(tmp_path) as gate:
        gate.call(CALL)
    prove(tmp_path, "  - {id: cap, always: state.spent <= 1.00}\n")
    with pytest.raises(UsageError, match="`cap` is false of it"):
        open_on(tmp_path)
    clock.pass_hours(24)
    open_on(tmp_path, clock=clock).close()
    open_on(tmp_path).close()
