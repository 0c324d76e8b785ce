"""B16: the power is lost at every moment of two calls, and all that was not on disk; then the gate is opened again."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import left_by, open_gate, records
from powerless_gate import SPEC

from sandbox.audit import verify
from sandbox.machine import effective, tick
from sandbox.receipts import check_receipts

PROGRAM = Path(__file__).with_name("powerless_gate.py")
FEWEST = 16
ENDINGS = {"outcome", "cancelled", "interrupted"}


def check(folder: Path) -> tuple[str, ...]:
    """Open what was left; nothing that ran is forgotten, nothing is counted twice, each intent has one ending."""
    effects = int((folder / "effects").read_text())
    with open_gate(folder, text=SPEC) as gate:
        now = gate._clock()
        with gate._store.transaction() as transaction:
            state = effective(gate.contract, tick(gate.contract, transaction.load(gate.contract, now), now))
        rows = gate._store._connection.execute("SELECT nonce, status FROM reservations").fetchall()
    verify(folder / ".sandbox/state.audit.jsonl")
    found = records(folder)
    said = {kind: [each["body"] for each in found if each["kind"] == kind] for kind in {"intent", *ENDINGS}}
    intended = [body["nonce"] for body in said["intent"]]
    kept = {nonce for nonce, status in rows if status != "cancelled"}
    assert effects <= int(state["begun"]) == len(kept), "what ran is spent, once"
    assert effects <= len(intended)
    assert set(intended) <= {nonce for nonce, _ in rows}, "the record speaks of what the state has never seen"
    assert not {"reserved", "running"} & {status for _, status in rows}
    assert check_receipts(folder / ".sandbox/state.audit.jsonl").unfinished == 0
    builds = {body["nonce"]: body["decision"]["call"]["args"]["build"] for body in said["intent"]}
    stored = [body["receipt"]["nonce"] for body in said["outcome"] if body.get("on_success") == "stored"]
    assert max((builds[nonce] for nonce in stored), default=0) <= int(state["tested"]), "the record claims a success"
    for body in said["cancelled"]:
        assert (body["nonce"] not in kept) is body["restored"]
    for body in said["interrupted"]:
        assert body["intended"] is (body["nonce"] in intended)
    open_gate(folder, text=SPEC).close()
    assert records(folder) == found, "a second opening finds nothing to do"
    return tuple(str(each["kind"]) for each in found)


@pytest.mark.parametrize(
    ("outcome", "tool", "ended"),
    [
        ("ok", "test", ("intent", "outcome")),
        ("ok", "plain", ("intent", "outcome")),
        ("error", "plain", ("intent", "outcome")),
        ("never", "plain", ("intent", "cancelled", "outcome")),
    ],
)
def test_whenever_the_power_is_lost_nothing_is_lost_doubled_or_claimed(
    tmp_path: Path, outcome: str, tool: str, ended: tuple[str, ...]
) -> None:
    seen = [check(folder) for folder in left_by(PROGRAM, tmp_path, outcome, tool, fewest=FEWEST)]
    assert (ended * 2) == seen[-1]
    assert {(), ended, ("interrupted",), ("intent", "interrupted")} <= set(seen)
