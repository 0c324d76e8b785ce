"""A proof speaks of states reached from `initial`; a state that an earlier spec left is held to it at opening."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import NOON, PAYMENTS, HandClock, SpyRunner, payment, spec_file

from sandbox.compile import load_properties
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.prove.ledger import Entry, digest_of, key_of, write_ledger

PROPERTIES = "proves: payments.yaml\nproperties:\n  - {id: cap, always: state.sent_today <= LIMIT}\n"
REQUIRING = PAYMENTS.replace("owner: payments-team", "owner: payments-team\nrequire_proofs: proofs.yaml")


def proved_gate(
    folder: Path, limit: str, clock: HandClock, *, text: str = REQUIRING, invariant: tuple[str, ...] = ()
) -> Gate:
    """A gate on the payments spec with this cap, which the ledger says is proved, by the given invariant."""
    spec = spec_file(folder, text.replace("5000.00", limit))
    file = spec_file(folder, PROPERTIES.replace("LIMIT", limit), "proofs.yaml")
    (each,) = load_properties(file)
    (subject,) = each.properties
    write_ledger(
        folder,
        {
            key_of(file, each.contract, subject): Entry(
                digest_of(each.contract, subject, each.properties), "always", "proved", invariant=invariant
            )
        },
    )
    return Gate.open(spec, runner=SpyRunner(), clock=clock)


def test_a_state_outside_of_a_proved_invariant_does_not_open(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    with proved_gate(tmp_path, "5000.00", clock) as gate:
        gate.call(payment(amount="900"))
    with pytest.raises(UsageError, match="none that its proofs speak of: `cap` is false of it") as refused:
        proved_gate(tmp_path, "500.00", clock)
    assert refused.value.reason_code == "state.unproved"
    proved_gate(tmp_path, "900.00", clock).close()


def test_a_state_outside_of_the_invariant_that_the_proof_needed_does_not_open(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    with proved_gate(tmp_path, "5000.00", clock, invariant=("state.sent_today >= 0.00",)) as gate:
        gate.call(payment(amount="900"))
    narrower = "state.sent_today <= 899.99"
    with pytest.raises(UsageError) as refused:
        proved_gate(tmp_path, "5000.00", clock, invariant=("state.sent_today >= 0.00", narrower))
    assert refused.value.reason_code == "state.unproved"
    assert f"`{narrower}`, by which `cap` is proved, is false of it" in str(refused.value)


@pytest.mark.parametrize("text", ["state.sent <= 1", "true &&", "state.sent_today", "args.amount <= 1", "now < now"])
def test_a_ledger_whose_invariant_is_none_of_the_spec_does_not_open(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="`cap` rests on an invariant that is none of the spec") as refused:
        proved_gate(tmp_path, "5000.00", HandClock(NOON), invariant=(text,))
    assert refused.value.reason_code == "proofs.stale"


def test_it_opens_once_the_budget_is_renewed_and_stays_open_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    with proved_gate(tmp_path, "5000.00", clock) as gate:
        gate.call(payment(amount="900"))
    clock.pass_hours(24)
    with proved_gate(tmp_path, "500.00", clock) as gate:
        clock.pass_hours(-24)
        assert gate.decide(payment(amount="400")).verdict == "allow"


def test_a_variable_that_nothing_writes_is_at_initial_or_the_gate_does_not_open(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    limited = REQUIRING.replace("state:\n", "state:\n  open: {type: bool, initial: FIRST}\n")
    with proved_gate(tmp_path, "5000.00", clock, text=limited.replace("FIRST", "true")) as gate:
        gate.call(payment(amount="900"))
    with pytest.raises(
        UsageError, match="`open` is stored as `true`, nothing writes it, and the spec begins with `false`"
    ):
        proved_gate(tmp_path, "5000.00", clock, text=limited.replace("FIRST", "false"))


WINDOWS = """\
sandbox: 1
name: hours
require_proofs: proofs.yaml
state:
  hour: {type: int, initial: 0, window: 1h}
tools:
  spend:
    args: {n: {type: int, min: 0, max: 50}, to: {type: string}}
    rules: [{id: cap, deny: "state.hour + args.n > 60"}, {id: any, allow: true}]
    then: {"hour": "state.hour + args.n"}
    run: {argv: [/bin/true]}
"""
BY_DAY = (
    WINDOWS.replace("window: 1h}", "window: 1h}\n  day: {type: int, initial: 0, window: 24h}")
    .replace('deny: "state.hour', 'deny: "state.day')
    .replace('args.n"}\n', 'args.n", "day": "state.day + args.n"}\n')
)
LIMIT, LIMITS = "state.hour <= 60", '"state.hour.all(k, state.hour[k] <= 60)"'


def by_key(text: str) -> str:
    """The same with a sum for each key."""
    for name in ("hour", "day"):
        text = text.replace(f"state.{name}", f"state.{name}[args.to]").replace(f'"{name}"', f'"{name}[args.to]"')
    return text.replace("type: int, initial", "type: map, key: string, value: int, initial")


def limited(folder: Path, text: str, limit: str, clock: HandClock) -> Gate:
    """A gate on a spec of which it is proved, for the ledger, that the hour has its limit."""
    spec = spec_file(folder, text, "hours.yaml")
    properties = f"proves: hours.yaml\nproperties:\n  - {{id: cap, always: {limit}}}\n"
    file = spec_file(folder, properties, "proofs.yaml")
    (each,) = load_properties(file)
    (subject,) = each.properties
    entry = Entry(digest_of(each.contract, subject, each.properties), "always", "proved")
    write_ledger(folder, {key_of(file, each.contract, subject): entry})
    return Gate.open(spec, runner=SpyRunner(), clock=clock)


@pytest.mark.parametrize(
    ("before", "after", "limit"), [(WINDOWS, BY_DAY, LIMIT), (by_key(WINDOWS), by_key(BY_DAY), LIMITS)]
)
def test_a_window_that_is_new_has_not_what_the_proofs_take_to_be_in_it(
    before: str, after: str, limit: str, tmp_path: Path
) -> None:
    """The hour's limit is proved by the day's, which has all that the hour has, but for what came before it was."""
    clock = HandClock(NOON)
    with limited(tmp_path, before, limit, clock) as gate:
        gate.call({"tool": "spend", "args": {"n": 50, "to": "ann"}})
    told = "`hour` has amounts that are not in `day`, which is never given less"
    with pytest.raises(UsageError, match=told) as refused:
        limited(tmp_path, after, limit, clock)
    assert refused.value.reason_code == "state.unproved"
    clock.pass_hours(1)
    for _ in range(2):
        with limited(tmp_path, after, limit, clock) as gate:
            gate.call({"tool": "spend", "args": {"n": 20, "to": "ann"}})
