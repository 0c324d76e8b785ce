"""Unit: what proofs say of every principal and every session is held against each that has a state."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import SpyRunner, spec_file

from sandbox import recovery
from sandbox.compile import load_contract, load_properties
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.holders import Holders
from sandbox.machine import Update, apply_then
from sandbox.prove.ledger import Entry, digest_of, key_of, write_ledger
from sandbox.state import Store

SPEC = """\
sandbox: 1
name: payments
require_proofs: proofs.yaml
session: {principal: {type: string, max_size: 9}, id: {type: string, max_size: 9}}
state:
  all: {type: int, initial: 0}
  own: {type: int, initial: 0, scope: principal}
  here: {type: int, initial: 0, scope: session}
  given: {type: map, key: {type: string, max_size: 9}, value: int, initial: 0, scope: principal}
  still: {type: int, initial: 3, scope: session}
tools:
  t:
    args: {n: {type: int, min: 0}}
    rules: [{id: few, allow: state.own + args.n <= 5}]
    then: {all: state.all + 1, own: state.own + args.n, here: state.here + 1, "given['x']": "1"}
"""


def opens(folder: Path, condition: str) -> None:
    """A gate on the state in this folder, where the ledger says that the condition always holds."""
    spec_file(folder, SPEC)
    file = spec_file(
        folder, f"proves: payments.yaml\nproperties: [{{id: cap, always: '{condition}'}}]\n", "proofs.yaml"
    )
    (each,) = load_properties(file)
    (subject,) = each.properties
    entry = Entry(digest_of(each.contract, subject, each.properties), "always", "proved")
    write_ledger(folder, {key_of(file, each.contract, subject): entry})
    Gate.open(folder / "payments.yaml", runner=SpyRunner()).close()


def put(folder: Path, holders: Holders, **updates: Update) -> None:
    spec_file(folder, "proves: payments.yaml\n", "proofs.yaml")
    contract = load_contract(spec_file(folder, SPEC))
    store = Store.open(None, contract.file)
    with store.transaction() as transaction:
        stored = transaction.load(contract, 0, holders)
        transaction.save(contract, apply_then(contract, stored, updates), holders)
    store.close()


ANN: Holders = {"principal": "ann", "session": "s1"}
BOB: Holders = {"principal": "bob", "session": "s2"}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("state.own <= 4", True),
        ("state.own <= 3", False),
        ("state.here <= 2", True),
        ("state.here <= 1", False),
        ("state.all + state.own <= 11", True),
        ("state.all + state.own <= 10", False),
        ("state.own + state.here <= 6", True),
        ("state.own + state.here <= 5", False),
        ("state.own == 0 || state.here == 1", False),
        ("state.given.all(k, state.given[k] <= 9)", True),
        ("state.given.all(k, state.given[k] <= 8)", False),
        ("state.given.all(k, state.given[k] > 8)", True),
        ("state.own > 0 || state.all < 7", False),
        ("state.still == 3", True),
    ],
)
def test_an_invariant_is_held_against_every_principal_in_every_session(
    tmp_path: Path, condition: str, held: bool
) -> None:
    """Ann has 4 and Bob 2; there was 1 call in the first session, and 2 in the second; pairs may never have met."""
    put(tmp_path, ANN, all=7, own=4, here=1, given={"x": 9})
    put(tmp_path, BOB, own=2, here=2)
    if held:
        opens(tmp_path, condition)
        return
    with pytest.raises(UsageError) as refused:
        opens(tmp_path, condition)
    assert refused.value.reason_code == "state.unproved"


def test_the_refusal_says_whose_state_it_is(tmp_path: Path) -> None:
    put(tmp_path, ANN, own=4)
    with pytest.raises(UsageError, match=r"the stored state of `payments` \(of the principal `ann`\) is none that"):
        opens(tmp_path, "state.own <= 3")


def test_what_nothing_writes_is_initial_for_everyone(tmp_path: Path) -> None:
    put(tmp_path, ANN, still=4)
    with pytest.raises(UsageError, match=r"of the session `s1`.*`still` is stored as `4`, nothing writes it"):
        opens(tmp_path, "state.own <= 3")


def test_too_many_pairs_to_look_at_do_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, ANN, own=1, here=1)
    put(tmp_path, BOB, own=1, here=1)
    monkeypatch.setattr(recovery, "MAX_PAIRS", 3)
    opens(tmp_path, "state.own <= 5")
    with pytest.raises(UsageError, match="more than can be looked at") as refused:
        opens(tmp_path, "state.own + state.here <= 50")
    assert refused.value.reason_code == "state.unproved"
