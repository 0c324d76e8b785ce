"""Deep Agents behind the gate: the suite, its files and commands, sub-agents, and what it does by itself."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from deepagents import create_deep_agent
from deepagents.backends import FilesystemBackend, StateBackend
from deepagents.backends.protocol import BackendProtocol, ExecuteResponse, SandboxBackendProtocol
from deepagents.middleware.filesystem import FilesystemMiddleware
from gatekit import STRANGER, SpyRunner, kinds, open_gate, payment, records
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver
from suite import AdapterSuite, Driver, Heard, Made, by_attribute, elsewhere
from test_langchain import Scripted, heard, paused_on, resumed_on, stored

from sandbox.adapters.deepagents import SandboxedBackend, backend, deep_agent
from sandbox.adapters.langchain import wrap
from sandbox.call import Outcome
from sandbox.errors import UsageError
from sandbox.gate import Gate

FILES = """\
sandbox: 1
name: files
tools:
  read_file:
    args:
      file_path: {type: path, under: /}
      offset: {type: int, min: 0, max: 100000, optional: true}
      limit: {type: int, min: 1, max: 2000, optional: true}
    rules: [{id: notes, allow: "args.file_path.startsWith('/notes/')"}]
    run: {host: "the folder is the user's"}
  write_file:
    args: {file_path: {type: path, under: /}, content: {type: text, max_size: 1000}}
    rules:
      - {id: diary, deny: "args.file_path == '/notes/diary.md'", reason: the diary is private}
      - {id: notes, allow: "args.file_path.startsWith('/notes/')"}
    run: {host: "the folder is the user's"}
  ls:
    args: {path: {type: path, under: /}}
    rules: [{id: notes, allow: "args.path == '/notes'"}]
    run: {host: "the folder is the user's"}
  download_file:
    args: {path: {type: path, under: /}}
    rules: [{id: notes, allow: "args.path.startsWith('/notes/')"}]
    run: {host: "the folder is the user's"}
"""
SHELL = """\
sandbox: 1
name: shell
tools:
  execute:
    args: {command: {type: string, max_size: 100, pattern: "[ -~]*"}}
    rules: [{id: echo, allow: "args.command.startsWith('echo ')"}]
    run: {tool: tools.payments:send_money}
"""
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "deep_agent.py"


class DeepDriver:
    ways = ("sync", "async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        self.gate = gate
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        agent, start, limit = self.agent(tools, turns), {"messages": [("user", "go")]}, {"recursion_limit": 999}
        match way:
            case "sync":
                return heard(agent.invoke(start, limit))
            case "async":
                return asyncio.run(self.start(tools, turns))
            case _:
                return heard(list(agent.stream(start, limit, stream_mode="values"))[-1])

    async def start(self, tools: Sequence[object], turns: Sequence[Sequence[Made]]) -> list[Heard]:
        agent = self.agent(tools, turns)
        return heard(await agent.ainvoke({"messages": [("user", "go")]}, {"recursion_limit": 999}))

    def agent(self, tools: Sequence[object], turns: Sequence[Sequence[Made]]) -> Runnable:
        return create_deep_agent(scripted(turns), tools, backend=backend(self.gate))

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return langchain_tool(name)(function)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.args_schema

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [({"type": "code_interpreter"}, "`code_interpreter` is a tool of the provider's")]


def scripted(turns: Sequence[Sequence[Made]]) -> Scripted:
    messages = [
        AIMessage(
            "",
            tool_calls=[
                {"name": each.name, "args": json.loads(each.arguments), "id": f"c{turn}_{n}"}
                for n, each in enumerate(calls)
            ],
        )
        for turn, calls in enumerate(turns)
    ]
    return Scripted(messages=iter([*messages, *[AIMessage("done")] * 9]))


class TestDeepAgents(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return DeepDriver()


def made(name: str, **arguments: object) -> Made:
    return Made(json.dumps(arguments), name)


def folder(tmp_path: Path) -> FilesystemBackend:
    (tmp_path / "root" / "notes").mkdir(parents=True)
    (tmp_path / "root" / "notes" / "a.md").write_text("milk\nbread\n")
    (tmp_path / "root" / "secret.md").write_text("password")
    return FilesystemBackend(root_dir=tmp_path / "root", virtual_mode=True)


def told(agent: Runnable, way: str = "sync") -> list[tuple[str, str]]:
    start, limit = {"messages": [("user", "go")]}, {"recursion_limit": 99}
    state = agent.invoke(start, limit) if way == "sync" else asyncio.run(agent.ainvoke(start, limit))
    return [(each.name, str(each.content)) for each in state["messages"] if isinstance(each, ToolMessage)]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_every_file_operation_of_an_agent_is_a_call(tmp_path: Path, way: str) -> None:
    turns = [
        [made("read_file", file_path="/notes/a.md")],
        [made("read_file", file_path="/secret.md")],
        [made("read_file", file_path="/notes/../secret.md")],
        [made("write_file", file_path="/notes/b.md", content="eggs")],
        [made("write_file", file_path="/notes/diary.md", content="x")],
        [made("ls", path="/notes")],
        [made("edit_file", file_path="/notes/a.md", old_string="milk", new_string="oats")],
        [made("grep", pattern="password")],
        [made("execute", command="cat secret.md")],
    ]
    with open_gate(tmp_path, text=FILES) as gate:
        agent = deep_agent(gate, scripted(turns), inner=folder(tmp_path))
        read, secret, dotted, wrote, diary, listed, *absent = told(agent, way)
    assert "milk" in read[1]
    assert "password" not in json.dumps([secret, dotted, absent])
    assert "denied" in secret[1]
    assert (tmp_path / "root" / "notes" / "b.md").read_text() == "eggs"
    assert "the diary is private" in diary[1]
    assert "a.md" in listed[1]
    assert "Updated" in wrote[1] or "b.md" in wrote[1]
    assert not (tmp_path / "root" / "notes" / "diary.md").exists()
    assert (tmp_path / "root" / "notes" / "a.md").read_text() == "milk\nbread\n"
    assert kinds(tmp_path).count("outcome") == 3


def test_operations_that_the_spec_does_not_have_are_denied_on_record(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=FILES) as gate:
        held = backend(gate, folder(tmp_path))
        answers = [
            held.edit("/notes/a.md", "milk", "oats").error,
            held.delete("/notes/a.md").error,
            held.glob("*").error,
            held.grep("milk").error,
            held.upload_files([("/notes/a.md", b"x")])[0].error,
        ]
        before = len(records(tmp_path))
        assert asyncio.run(held.adelete("/notes/a.md")).error
    assert all("denied (unknown_tool)" in str(each) for each in answers)
    assert len(records(tmp_path)) == before + 1
    assert not isinstance(held, SandboxBackendProtocol)


def test_a_sub_agent_has_the_same_gate_and_the_same_budget(tmp_path: Path) -> None:
    turns = [
        [made("task", description="write", subagent_type="writer")],
        [made("write_file", file_path="/notes/c.md", content="by the writer")],
        [made("read_file", file_path="/secret.md")],
    ]
    model = scripted(turns)
    with open_gate(tmp_path, text=FILES) as gate:
        writer = {"name": "writer", "description": "writes", "system_prompt": "write"}
        deep_agent(gate, model, inner=folder(tmp_path), subagents=[writer]).invoke({"messages": [("user", "go")]})
    assert (tmp_path / "root" / "notes" / "c.md").read_text() == "by the writer"
    assert kinds(tmp_path).count("outcome") == 1
    assert "denied" in json.dumps(records(tmp_path)[-1])


def test_a_general_purpose_sub_agent_calls_the_tools_through_the_gate(tmp_path: Path) -> None:
    runner = SpyRunner()
    turns = [
        [made("task", description="pay", subagent_type="general-purpose")],
        [Made(json.dumps(payment()["args"])), Made(json.dumps(payment(amount="6000")["args"]))],
    ]
    with open_gate(tmp_path, runner=runner) as gate:
        deep_agent(gate, scripted(turns)).invoke({"messages": [("user", "go")]})
    assert len(runner.permits) == 1
    assert kinds(tmp_path).count("denied") == 1


def pause(folder: Path) -> None:
    """A sub-agent's call waits; the whole thread is stored."""
    saver = InMemorySaver()
    call = [made("send_money", recipient=STRANGER, amount="10.00")]
    model = scripted([[made("task", description="pay", subagent_type="general-purpose")], call])
    with open_gate(folder) as gate:
        paused_on(deep_agent(gate, model, pause=True, checkpointer=saver), saver, folder)


def resume(folder: Path) -> dict[str, object]:
    runner = SpyRunner()
    with open_gate(folder, runner=runner) as gate:
        agent = deep_agent(gate, scripted([]), pause=True, checkpointer=stored(folder / "thread"))
        told = resumed_on(agent, folder)
    return {"told": told, "by": [each.approved_by for each in runner.permits]}


def test_a_sub_agents_call_that_waits_pauses_the_whole_run_and_another_process_resumes_it(tmp_path: Path) -> None:
    pause(tmp_path)
    first, again = elsewhere(__name__, tmp_path), elsewhere(__name__, tmp_path)
    assert (first["told"], first["by"], again["by"]) == (["done"], [["ann"]], [])


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    pause(tmp_path)
    before = (tmp_path / "thread").read_bytes()
    (tmp_path / "thread").write_bytes(before.replace(b"10.00", b"11.00"))
    assert (tmp_path / "thread").read_bytes() != before
    assert elsewhere(__name__, tmp_path)["by"] == []
    assert "another call" in json.dumps(records(tmp_path)[-1])


def test_what_brings_its_own_tools_is_refused_by_name(tmp_path: Path) -> None:
    runner = SpyRunner()

    @langchain_tool
    def other() -> str:
        """Does something."""
        return ""

    cases: list[tuple[dict[str, object], str]] = [
        ({"subagents": [{"name": "far", "description": "x", "graph_id": "g"}]}, "`far` runs elsewhere"),
        ({"subagents": [{"name": "own", "description": "x", "runnable": object()}]}, "`own` is compiled already"),
        (
            {"subagents": [{"name": "s", "description": "x", "system_prompt": "x", "tools": [other]}]},
            "`other` of the sub-agent `s` is no tool of the agent's",
        ),
        (
            {"subagents": [{"name": "s", "description": "x", "middleware": [FilesystemMiddleware()]}]},
            "`FilesystemMiddleware` brings tools of its own",
        ),
        ({"middleware": [FilesystemMiddleware()]}, "`FilesystemMiddleware` brings tools of its own"),
        ({"backend": StateBackend()}, "`backend` is what the gate is in front of"),
        ({"inner": object()}, "`object` is no backend of Deep Agents"),
        ({"tools": [{"type": "web_search", "name": "web"}]}, "`web` is a tool of the provider's"),
    ]
    with open_gate(tmp_path, runner=runner) as gate:
        for more, text in cases:
            with pytest.raises(UsageError, match=text):
                deep_agent(gate, scripted([]), **more)
        with pytest.raises(UsageError, match="wrapped already"):
            backend(gate, backend(gate))


def test_host_operations_need_a_backend_and_it_is_no_attribute(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=FILES) as gate:
        with pytest.raises(UsageError, match="`ls` runs on the host: give the backend that does it"):
            backend(gate)
        inner = folder(tmp_path)
        held = backend(gate, inner)
        assert not by_attribute(held, inner)
        assert copy.deepcopy(held).read("/secret.md").error
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(held)


def test_what_the_framework_reads_by_itself_goes_through_the_gate(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=FILES) as gate:
        held = backend(gate, folder(tmp_path))
        note, secret = held.download_files(["/notes/a.md", "/secret.md"])
    assert note.content == b"milk\nbread\n"
    assert (secret.content, "denied" in str(secret.error)) == (None, True)


def test_commands_run_where_the_spec_says_and_nowhere_else(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("ok", "ok", "", result={"output": "hi", "exit_code": 3}))
    turns = [[made("execute", command="echo hi")], [made("execute", command="rm -rf /")]]
    with open_gate(tmp_path, text=SHELL, runner=runner) as gate:
        held = backend(gate)
        assert isinstance(held, SandboxBackendProtocol)
        assert held.execute("echo hi") == ExecuteResponse("hi", 3)
        assert held.execute("rm -rf /").exit_code == 1
        assert "parse.unknown_argument" in held.execute("echo hi", timeout=5).output
        ran, refused = told(deep_agent(gate, scripted(turns)))
    assert "hi" in ran[1]
    assert "denied" in refused[1]
    assert len(runner.permits) == 2


def test_a_tools_odd_result_is_an_error_and_no_exception(tmp_path: Path) -> None:
    odd = iter([1, {"nope": 1}, {"start_line": 5}, [], None, {"error": "x"}])
    runner = SpyRunner(lambda _: Outcome("ok", "ok", "", result=next(odd)))
    text = FILES.replace('{host: "the folder is the user\'s"}', "{tool: tools.payments:send_money}")
    with open_gate(tmp_path, text=text, runner=runner) as gate:
        held: BackendProtocol = backend(gate)
        assert isinstance(held, SandboxedBackend)
        assert all(held.read("/notes/a.md").error for _ in range(6))


def test_a_failing_backend_is_a_failed_call(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=FILES) as gate:
        answer = backend(gate, folder(tmp_path)).read("/notes/none.md")
    assert "the tool ended `error`" in str(answer.error)
    assert kinds(tmp_path)[-1] == "outcome"


def test_the_example_runs_and_is_short() -> None:
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["write_file", "write_file"]
    assert "the diary is private" in done.stdout.splitlines()[1]
    assert len(EXAMPLE.read_text().splitlines()) < 40
