"""The recorded agent: every one of its outputs has the expected verdict, at the command line and behind the real gate.

The same list runs in real containers in the demo; here nothing runs, and a spy sees what would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gatekit import HandClock, SpyRunner

from sandbox import Gate
from sandbox.approve import Approval, ApprovalRequest, Refused
from sandbox.errors import Refusal

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SPECS = {name: ROOT / "specs" / f"{name}.yaml" for name in ("payments", "files", "python")}
SPECS["workbench"] = HERE / "workbench.yaml"


def recorded(spec: str) -> list[dict[str, object]]:
    """What the agent emitted towards one spec, in order; `bytes` is the very output."""
    lines = map(json.loads, (HERE / "hostile_agent.jsonl").read_text(encoding="ascii").splitlines())
    return [{**line, "bytes": raw_bytes(line["raw"])} for line in lines if line["spec"] == spec]


def raw_bytes(raw: object) -> bytes:
    pieces = raw if isinstance(raw, list) else [[raw, 1]]
    return b"".join(part.encode("latin-1") * times for part, times in pieces)


class Person:
    """Says what the recording says of the present call."""

    def __init__(self) -> None:
        self.agrees = False

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        if self.agrees:
            return Approval(request.call.digest, "ann", request.expires_at_ms)
        return Refused("ann", "not today")


@pytest.mark.no_cover
@pytest.mark.parametrize("spec", SPECS)
def test_every_recorded_output_is_judged_as_expected_at_the_command_line(spec: str, tmp_path: Path) -> None:
    emitted = recorded(spec)
    assert not any(b"\n" in line["bytes"] for line in emitted)  # a line of `sandbox decide` ends there
    calls = tmp_path / "calls"
    calls.write_bytes(b"".join(line["bytes"] + b"\n" for line in emitted))
    command = [sys.executable, "-m", "sandbox", "decide", str(SPECS[spec]), "--calls", str(calls)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["line"], line["verdict"], line["reason_code"]) for line in verdicts] == [
        (number, line["verdict"], line["reason_code"]) for number, line in enumerate(emitted, start=1)
    ]
    for line in verdicts:  # both engines were asked about all that parsed, and agree
        assert set(line["engines"].values()) in ({None}, {line["verdict"]})
    assert done.returncode == (1 if any(line["verdict"] == "deny" for line in emitted) else 0), done.stderr


@pytest.mark.parametrize("spec", SPECS)
def test_only_what_should_run_reaches_the_edge(spec: str, tmp_path: Path) -> None:
    person, runner, emitted = Person(), SpyRunner(), recorded(spec)
    settings = {"state": f"sqlite:///{tmp_path / 'state.db'}", "runner": runner, "clock": HandClock()}
    with Gate.open(SPECS[spec], approver=person, **settings) as attended, Gate.open(SPECS[spec], **settings) as alone:
        for line in emitted:
            person.agrees = line.get("person") == "approves"
            gate = alone if line.get("person") == "absent" else attended
            before = len(runner.permits)
            assert (end_of(gate, line["bytes"]), len(runner.permits) - before) == expected(line), line["about"]
    assert len(runner.permits) == sum("status" in line for line in emitted)
    assert len({permit.nonce for permit in runner.permits}) == len(runner.permits)


def end_of(gate: Gate, raw: bytes) -> str:
    try:
        return gate.attempt(raw).decision.reason_code
    except Refusal as refusal:
        return refusal.reason_code


def expected(line: dict[str, object]) -> tuple[object, int]:
    """The last word, and how many calls reach the edge."""
    by_person = {"refuses": "approval.refused", "absent": "approval.needed"}
    return by_person.get(str(line.get("person")), line["reason_code"]), int("status" in line)


def test_the_recording_holds_what_it_promises() -> None:
    lines = [line for spec in SPECS for line in recorded(spec)]
    assert len(lines) >= 60
    codes = {line["reason_code"] for line in lines}
    assert codes >= {"parse.json", "parse.duplicate_key", "parse.depth", "parse.path", "unknown_tool", "rule.deny"}
    assert sum(str(line["about"]).startswith("honest") for line in lines) >= 10
    assert {line.get("person") for line in lines} == {None, "approves", "refuses", "absent"}
