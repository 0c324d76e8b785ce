"""What tests of the execution share: contracts around the shipped tools, permits, and runs of programs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sandbox import ir
from sandbox.call import Call, Outcome, Permit
from sandbox.execute.runner import Runner
from sandbox.ir import Argument, Contract, DecimalType, PathType, Run, RunTool, TextType, Tool, Workspace

PROJECT = Path(__file__).parents[1]
SPEC = str(PROJECT / "specs" / "python.yaml")
LATER = 10**15
TEXT = TextType(1024 * 1024)


def tool_of(name: str, run: Run | None, *arguments: Argument) -> Tool:
    return Tool(name, arguments, (), run=run)


def contract_of(tool: Tool, file: str = SPEC) -> Contract:
    return Contract("test", (tool,), file=file)


def python_tool(**run: object) -> Tool:
    settings = {"what": RunTool("tools.python", "run_code"), **run}
    return tool_of("run_code", Run(**settings), Argument("code", TEXT))


def files_tool(function: str, folder: Path, mode: str = "rw", **run: object) -> Tool:
    settings = {"what": RunTool("tools.files", function), "workspace": Workspace(str(folder), mode), **run}
    content = (Argument("content", TEXT),) if function == "write" else ()
    return tool_of(function, Run(**settings), Argument("path", PathType("/workspace")), *content)


def payments_tool(folder: Path) -> Tool:
    run = Run(RunTool("tools.payments", "send_money"), workspace=Workspace(str(folder), "rw"))
    amount = Argument("amount", DecimalType(2, 1, 100_000_000))
    return tool_of("send_money", run, Argument("recipient", TEXT), amount, Argument("note", TEXT, optional=True))


def call_of(tool: Tool, **args: object) -> Call:
    """A canonical call; decimals are given as their canonical text."""
    canonical = json.dumps({"args": args, "tool": tool.name}, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return Call(tool.name, args, canonical, hashlib.sha256(canonical.encode()).hexdigest())


def permit_for(runner: Runner, contract: Contract, tool: Tool, call: Call, **changed: object) -> Permit:
    prepared = runner.prepare(contract, tool)
    bound = {
        "nonce": "nonce",
        "call": call,
        "contract_digest": ir.digest(contract),
        "session_digest": "",
        "run_digest": prepared.run_digest,
        "image_digest": prepared.image_digest,
        "source_digest": prepared.source_digest,
        "expires_at_ms": LATER,
        "epoch": 0,
    }
    return Permit(**{**bound, **changed})


def run_tool(runner: Runner, tool: Tool, file: str = SPEC, **args: object) -> Outcome:
    contract = contract_of(tool, file)
    call = call_of(tool, **args)
    return runner.run(permit_for(runner, contract, tool, call), contract, tool, 0)


def run_program(runner: Runner, code: str, **run: object) -> Outcome:
    return run_tool(runner, python_tool(**run), code=code)
