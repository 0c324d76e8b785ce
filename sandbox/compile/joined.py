"""Whether the specs of one gate fit together; every reason why not, at its place in one of them.

A call is parsed once and then judged by each spec that describes its tool, so they must agree on what it is. State is
each spec's own; only what a spec and its ceiling both declare must be declared and moved alike, for the proof that the
one allows no more than the other speaks of the two as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from sandbox.compile import cost, folders
from sandbox.compile.contract import Loaded
from sandbox.errors import Place
from sandbox.ir import Argument, Assignment, Contract, Run, RunServer, RunTool, Tool
from sandbox.lang.source import Problems, shown

_Path = tuple[str | int, ...]


def check_fit(files: Sequence[Loaded], ceilings: Sequence[tuple[int, int]], problems: Problems) -> None:
    """Notes what does not fit. `ceilings` pairs the position of each spec with that of each of its ceilings."""
    for one, other in combinations(range(len(files)), 2):
        bounded = (one, other) in ceilings
        here, there = (files[one], files[other]) if bounded else (files[other], files[one])
        _Pair(here, there, problems).check()
    for one, other in ceilings:
        _Pair(files[one], files[other], problems).check_state()
    _check_cost(files, problems)
    _check_workspaces(files, problems)


def check_calls(here: Loaded, there: Loaded, problems: Problems) -> None:
    """Notes where two specs that judge the same calls read them otherwise: facts of the session, and arguments."""
    pair = _Pair(here, there, problems)
    pair.check_facts()
    for tool in here.contract.tools:
        other = there.contract.tool(tool.name)
        if other is not None:
            pair.check_arguments(tool, other, secrets=False)


class _Pair:
    """Two specs of one gate; what is wrong is noted in the first, and names the place in the second."""

    def __init__(self, here: Loaded, there: Loaded, problems: Problems) -> None:
        self._here = here
        self._there = there
        self._problems = problems

    def _wrong(self, message: str, *path: str | int, key: bool = True) -> None:
        self._problems.add(self._here.written.problem(message, *path, key=key))

    def _place(self, *path: str | int) -> Place:
        return self._there.written.place(*path, key=True)

    def check(self) -> None:
        """Names, facts of the session, arguments, and what runs."""
        here, there = self._here.contract, self._there.contract
        if here.name == there.name:
            place = self._there.written.place("name")
            self._wrong(f"`{here.name}` is the name at {place} too; rename one, for each keeps its own state", "name")
        self.check_facts()
        self._check_run(here.server, there.server, "server")
        for tool in here.tools:
            other = there.tool(tool.name)
            if other is not None:
                self.check_arguments(tool, other, secrets=True)
                self._check_run(tool.run, other.run, "tools", tool.name, "run")
                self._check_judge(tool, other)

    def check_facts(self) -> None:
        """What both declare of the session is declared alike."""
        theirs = {fact.name: fact for fact in self._there.contract.session}
        for fact in self._here.contract.session:
            if fact.name in theirs and theirs[fact.name] != fact:
                place = self._place("session", fact.name)
                self._wrong(f"{_otherwise(fact.name, place)}; a fact has one type", "session", fact.name)

    def check_arguments(self, tool: Tool, other: Tool, *, secrets: bool) -> None:
        """A tool has the same arguments, and with `secrets` the same ones are secret."""
        at: _Path = ("tools", tool.name)
        same = "a tool has the same arguments in every spec"
        theirs = {argument.name: argument for argument in other.arguments}
        for argument in tool.arguments:
            if argument.name not in theirs:
                place = self._place(*at)
                message = f"the tool at {place} has no argument {shown(argument.name)}; {same}"
                self._wrong(message, *at, "args", argument.name)
            elif _meaning(argument) != _meaning(theirs[argument.name]):
                place = self._place(*at, "args", argument.name)
                self._wrong(f"{_otherwise(argument.name, place)}; {same}", *at, "args", argument.name)
            elif secrets and argument.secret != theirs[argument.name].secret:
                place = self._place(*at, "args", argument.name)
                message = (
                    f"{shown(argument.name)} is a secret in one spec alone, see {place}; write `secret: true` in both"
                )
                self._wrong(message, *at, "args", argument.name)
        for name in sorted(set(theirs) - {argument.name for argument in tool.arguments}):
            place = self._place(*at, "args", name)
            self._wrong(f"the argument {shown(name)} at {place} is missing here; {same}", *at)

    def _check_run(self, run: Run | None, other: Run | None, *at: str) -> None:
        if run is None or other is None:
            return
        place = self._place(*at)
        if run != other:
            self._wrong(f"the `{at[-1]}` at {place} is another one; let one spec say what runs", *at)
        elif _is_relative(run) and _folder(self._here.contract) != _folder(self._there.contract):
            where = f"the `{at[-1]}` at {place} means other files, for it lies in another folder"
            self._wrong(f"{where}; let one spec have it", *at)

    def _check_judge(self, tool: Tool, other: Tool) -> None:
        """What judges a server's resource or prompt in one spec runs in none."""
        server = "what a server offers, and has a `run`"
        if tool.name in _judges(self._here.contract) and other.run is not None:
            place = self._place("tools", tool.name, "run")
            self._wrong(f"`{tool.name}` judges {server} at {place}; take that out", "server")
        if tool.name in _judges(self._there.contract) and tool.run is not None:
            place = self._place("server")
            message = f"`{tool.name}` judges {server} here, see {place}; take it out"
            self._wrong(message, "tools", tool.name, "run")

    def check_state(self) -> None:
        """What a spec and its ceiling both declare is one thing to the proof: equal declarations, equal `then`."""
        shared = []
        for variable in self._here.contract.variables:
            theirs = self._there.contract.variable(variable.name)
            if theirs is None:
                continue
            shared.append(variable.name)
            if theirs != variable:
                place = self._place("state", variable.name)
                message = f"{_otherwise(variable.name, place)}; state of a spec and its ceiling is declared alike"
                self._wrong(message, "state", variable.name)
        for tool in self._here.contract.tools:
            other = self._there.contract.tool(tool.name)
            for name in shared if other is not None else ():
                self._check_then(tool, other, name)

    def _check_then(self, tool: Tool, other: Tool | None, variable: str) -> None:
        ours, theirs = _written(tool, variable), _written(other, variable)
        if ours == theirs:
            return
        key = next((key for key, _ in (*ours, *theirs)), "then")
        at: _Path = ("tools", tool.name, key, variable)
        place = self._place(*at)
        message = f"the ceiling moves `{variable}` otherwise, at {place}; write the same `{key}` in both"
        self._wrong(message, *at, key=False)


def _written(tool: Tool | None, variable: str) -> tuple[tuple[str, Assignment], ...]:
    """What the tool's `then` and its `on_success` assign to the variable."""
    if tool is None:
        return ()
    steps = (*(("then", step) for step in tool.then), *(("on_success", step) for step in tool.on_success))
    return tuple((key, step) for key, step in steps if step.variable == variable)


def _otherwise(name: str, place: Place) -> str:
    return f"`{name}` is declared otherwise at {place}"


def _meaning(argument: Argument) -> tuple[object, ...]:
    """All of an argument but whether it is secret."""
    return (argument.name, argument.type, argument.optional, argument.default)


def _is_relative(run: Run) -> bool:
    return run.workspace is not None or isinstance(run.what, RunTool)


def _judges(contract: Contract) -> frozenset[str]:
    """The tools of a spec that judge what its server offers besides tools."""
    what = contract.server.what if contract.server is not None else None
    return what.judges if isinstance(what, RunServer) else frozenset()


def _folder(contract: Contract) -> Path:
    return folders.real(Path(contract.file).parent)


def _check_cost(files: Sequence[Loaded], problems: Problems) -> None:
    """The specs judge one after another, so that their costs add up."""
    total: dict[str, int] = {}
    first: dict[str, Loaded] = {}
    judges: dict[str, int] = {}
    for file in files:
        for tool in file.contract.tools:
            terms = sum(term.cost for term in cost.tool_terms(file.contract, tool))
            total[tool.name] = total.get(tool.name, 0) + terms
            judges[tool.name] = judges.get(tool.name, 0) + 1
            first.setdefault(tool.name, file)
    for name, steps in total.items():
        if judges[name] > 1 and steps > cost.MAX_COST:
            message = f"a decision about `{name}` could take {steps:,} steps in the {judges[name]} specs that describe"
            message = f"{message} it, and {cost.MAX_COST:,} are allowed; {cost.SMALLER}"
            problems.add(first[name].written.problem(message, "tools", name, key=True))


def _check_workspaces(files: Sequence[Loaded], problems: Problems) -> None:
    """No workspace of one spec may touch what decides in another."""
    for file in files:
        for source, at in folders.workspaces(file.contract):
            for other in files:
                message = "" if other is file else folders.refusal(source, other.contract)
                if message:
                    problems.add(file.written.problem(f"{message} (of `{other.contract.name}`)", *at))
