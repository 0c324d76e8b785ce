"""What a real server answered to a permitted request, as the outcome of the call."""

from __future__ import annotations

from typing import assert_never

from sandbox.call import Outcome
from sandbox.execute.protocol import one_line
from sandbox.ir import RunServer
from sandbox.mcp.channels import Channel
from sandbox.mcp.cleaning import Unfit, clean_result, text_of
from sandbox.mcp.contents import clean_contents, clean_prompt
from sandbox.strict_json import Tree


def outcome_of(channel: Channel, answer: Tree, uri: str, granted: RunServer, limit: int) -> Outcome:
    """The outcome, with what may be passed on of the answer; `limit` is in bytes, `uri` what was read, if that."""
    failed = False
    try:
        match channel:
            case "tools/call":
                passed, failed = clean_result(answer, granted.content, limit)
            case "resources/read":
                passed = clean_contents(answer, uri, granted.content, limit)
            case "prompts/get":
                passed = clean_prompt(answer, granted.content, limit)
            case _:
                assert_never(channel)
    except Unfit as unfit:
        return Outcome("output_limit", "limit.result", str(unfit))
    if failed:
        return Outcome("error", "tool.error", one_line(text_of(passed)), stderr="", result=passed)
    return Outcome("ok", "ok", "", result=passed, exit_code=0)
