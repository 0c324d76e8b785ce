"""`sandbox run`: one call the whole way - decided, approved, run in a container, recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from sandbox.approve import Approver, ScriptedApprover, TerminalApprover
from sandbox.call import Decision, Outcome, Receipt, Result
from sandbox.cli.output import json_option, print_document, show, show_block, state_option
from sandbox.cli.raw import args_option, raw_call, tool_option
from sandbox.cli.session import session_option
from sandbox.errors import ApprovalNeeded, Denied, Refusal
from sandbox.gate import Gate
from sandbox.ir import Json


@click.command(
    name="run",
    epilog="""Example: sandbox run specs/python.yaml --tool run_code --args '{"code": "print(6 * 7)"}'""",
)
@click.argument("spec")
@tool_option
@args_option
@click.option("--approve-as", "people", metavar="NAME", multiple=True, help="Approve as this person; repeatable.")
@click.option("--reveal", is_flag=True, help="Show secret values to who is asked at the terminal.")
@session_option
@state_option
@json_option
def command(
    spec: str,
    *,
    tool: str,
    args: str,
    people: tuple[str, ...],
    reveal: bool,
    session: dict[str, object],
    state: str | None,
    as_json: bool,
) -> int:
    """Take one call the whole way: decide, ask, run in a container, record.

    Exit code: 0 if it ran and ended `ok`, 1 if it was denied or did not end `ok`, 3 if a person is needed.
    """
    with Gate.open(spec, state=state, approver=_approvers(people, reveal=reveal)) as gate:
        try:
            result = gate.attempt(raw_call(tool, args), session)
        except Refusal as refusal:
            return _refused(refusal, as_json=as_json, several=gate.policy.several)
    return _ran(result, as_json=as_json, several=gate.policy.several)


def _approvers(people: Sequence[str], *, reveal: bool = False) -> tuple[Approver, ...]:
    """The people named on the command line, else whoever sits at the terminal, else nobody."""
    if people:
        return tuple(ScriptedApprover(name) for name in people)
    if sys.stdin.isatty() and sys.stderr.isatty():
        return (TerminalApprover(sys.stdin, sys.stderr, reveal=reveal),)
    return ()


def _refused(refusal: Refusal, *, as_json: bool, several: bool) -> int:
    decision = refusal.decision
    if as_json:
        print_document(_document(decision, None, None, several=several))
    else:
        click.echo(f"{decision.verdict}: {show(decision.reason)} [{decision.reason_code}]")
    match refusal:
        case Denied() if decision.reason_code.startswith("fault."):
            return 5
        case Denied() | ApprovalNeeded():
            return refusal.exit_code
        case _:
            return 1


def _ran(result: Result, *, as_json: bool, several: bool) -> int:
    outcome = result.outcome
    if as_json:
        print_document(_document(result.decision, outcome, result.receipt, several=several))
    else:
        _print(result)
    if outcome.status == "sandbox_failure" and not outcome.started:
        return 4
    return 0 if outcome.status == "ok" else 1


def _print(result: Result) -> None:
    outcome, receipt = result.outcome, result.receipt
    by = f", approved by {', '.join(receipt.approved_by)}" if receipt.approved_by else ""
    click.echo(f"{result.decision.verdict}: {show(result.decision.reason)}{show(by)}")
    ended = f"{outcome.status} after {outcome.duration_ms} ms ({receipt.isolation}, record {receipt.record_sequence})"
    click.echo(f"{ended}: {show(outcome.reason)}" if outcome.reason else ended)
    for name, text in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        if text:
            click.echo(f"--- {name}\n{show_block(text.removesuffix(chr(10)))}")
    for change in outcome.changes:
        click.echo(f"{change.kind} {show(change.path)} ({change.size} bytes)")
    for request in outcome.requests:
        place = f"{request.method} {request.host}:{request.port}{request.path}" if request.host else "unreadable"
        click.echo(f"asked {show(place)}: {request.status or request.reason_code} ({request.received} bytes)")
    if outcome.result is not None:
        click.echo(f"--- result\n{show_block(json.dumps(outcome.result, ensure_ascii=False, indent=2))}")


def _document(
    decision: Decision, outcome: Outcome | None, receipt: Receipt | None, *, several: bool
) -> dict[str, Json]:
    return {
        "verdict": decision.verdict,
        **({"spec": decision.spec} if several else {}),
        "rule": decision.rule,
        "reason_code": decision.reason_code if outcome is None else outcome.reason_code,
        "reason": decision.reason,
        "call": json.loads(decision.call.shown) if decision.call is not None else None,
        "outcome": outcome_document(outcome) if outcome is not None else None,
        "receipt": {**asdict(receipt), "approved_by": list(receipt.approved_by)} if receipt is not None else None,
    }


def outcome_document(outcome: Outcome) -> dict[str, Json]:
    """The outcome as JSON, its changes as a list."""
    return {
        "status": outcome.status,
        "reason_code": outcome.reason_code,
        "reason": outcome.reason,
        "result": outcome.result,
        "stdout": outcome.stdout,
        "stderr": outcome.stderr,
        "truncated": outcome.truncated,
        "duration_ms": outcome.duration_ms,
        "changes": [asdict(change) for change in outcome.changes],
        "requests": [asdict(request) for request in outcome.requests],
        "started": outcome.started,
        "exit_code": outcome.exit_code,
    }
