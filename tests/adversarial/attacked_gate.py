"""What the attacks are aimed at: a small spec behind the real gate."""

from __future__ import annotations

from pathlib import Path

from gatekit import SpyRunner, open_gate

from sandbox import Gate
from sandbox.approve import Approver
from sandbox.errors import SandboxError

__all__ = ["RECIPIENT", "SPEC", "SpyRunner", "attacked", "canonical", "outcome_of"]

SPEC = r"""
sandbox: 1
name: attacked
state:
  sent: {type: decimal, scale: 2, initial: 0, window: 24h}
tools:
  pay:
    args:
      recipient: {type: string, pattern: "[A-Z]{2}[0-9]{14,32}"}
      amount: {type: decimal, scale: 2, min: 0.01, max: 100000000000000000000}
    rules:
      - {id: cap, deny: "state.sent + args.amount > 5000.00"}
      - {id: small, allow: "args.amount <= 1000.00"}
      - {id: large, ask: "args.amount > 1000.00"}
    then: {sent: state.sent + args.amount}
    run: {tool: "tools.payments:send_money"}
  read:
    args:
      path: {type: path}
    rules:
      - {id: data, allow: "args.path.startsWith('/data/')"}
    run: {tool: "tools.files:read_file"}
  count:
    args:
      n: {type: int, min: 0, max: 100000000000000000000}
    rules:
      - {id: few, allow: "args.n <= 9007199254740992"}
    run: {tool: "tools.files:list_folder"}
  switch:
    args:
      on: {type: bool}
      mode: {type: enum, values: [safe, unsafe]}
    rules:
      - {id: safe, allow: "args.mode == 'safe'"}
    run: {tool: "tools.files:list_folder"}
  fetch:
    args:
      name: {type: string, pattern: "[a-z0-9]+"}
    rules:
      - {id: any, allow: "true"}
    run: {tool: "tools.files:read_file"}
"""

RECIPIENT = "GB29600161331926819"


def attacked(
    folder: Path,
    text: str = SPEC,
    *,
    runner: SpyRunner | None = None,
    approver: Approver | None = None,
    solver: bool = False,
) -> Gate:
    """The gate on the spec `text`, with state and record in `folder`; its clock stands still."""
    return open_gate(folder, text=text, runner=runner, approver=approver, solver=solver)


def canonical(runner: SpyRunner) -> list[str]:
    """The canonical text of every call that reached the edge."""
    return [permit.call.canonical for permit in runner.permits]


def outcome_of(gate: Gate, raw: bytes | str | dict[str, object]) -> str:
    """The reason code with which a call ends, `ok` if it ran."""
    try:
        return gate.call(raw).outcome.reason_code
    except SandboxError as error:
        return error.reason_code
