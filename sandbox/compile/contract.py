"""A spec -> a Contract, or every reason why not, each at its place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sandbox.call import UNKNOWN
from sandbox.compile import budget, cost, enabling, folders, grants, secrecy, serving
from sandbox.compile.stage_rules import StageRules
from sandbox.compile.types import Types
from sandbox.compile.variables import Variables
from sandbox.errors import SpecError
from sandbox.holders import FACTS
from sandbox.ir import (
    ArgType,
    Argument,
    ArgWord,
    Assignment,
    BoolSort,
    Contract,
    EnumType,
    Expr,
    ListType,
    MapSort,
    NetworkGrant,
    RecordType,
    Returned,
    Rule,
    RuleKind,
    Run,
    RunArgv,
    RunHost,
    RunServer,
    RunTool,
    ScalarSort,
    ScopeName,
    SetSort,
    ShellType,
    Sort,
    StringType,
    TimestampSort,
    Tool,
    Variable,
    Workspace,
    sort_of,
)
from sandbox.lang import (
    Constant,
    Scope,
    SourceText,
    compile_change,
    compile_expression,
    compile_target,
)
from sandbox.lang.check import FUNCTIONS
from sandbox.lang.scope import SUBJECTS
from sandbox.lang.source import Problems, shown
from sandbox.lang.suggest import near_miss
from sandbox.origins import origin_labels
from sandbox.spec import Written, read_spec
from sandbox.spec.model import GrantsSpec, RuleSpec, RunSpec, ServerSpec, Spec, ToolSpec

DEFAULT_EXPIRY_MS: Final = 900_000
"""How long an approval is waited for where the rule says nothing: 15 minutes."""

KINDS: Final[tuple[RuleKind, ...]] = ("allow", "ask", "deny")

_WORD_ARGUMENT: Final = re.compile(r"\{args\.([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_OF_CONTAINERS: Final = (
    "image", "workspace", "network", "timeout", "memory", "cpus", "pids", "output", "files", "file_size", "tmpfs",
    "min_isolation",
)  # fmt: skip

_Path = tuple[str | int, ...]


def load_contract(path: str | Path) -> Contract:
    """The contract of a spec file.

    Raises SpecError with every problem that could be found, UsageError where there is no such file.
    """
    return load(Path(path), str(path)).contract


@dataclass(frozen=True, slots=True)
class Loaded:
    """A contract, the constants of its spec, which properties may name too, and the spec as it was written."""

    contract: Contract
    constants: Mapping[str, Constant]
    written: Written[Spec]


def load(file: Path, name: str) -> Loaded:
    """The spec at a path, called `name` in messages. Raises as `load_contract`."""
    written = read_spec(file, name)
    problems = Problems(SpecError)
    contract = _Compiler(written, problems, file).contract()
    problems.raise_if_any()
    return Loaded(contract, written.model.define, written)


def reserved_names() -> frozenset[str]:
    """Names that no constant may have, for they mean something already."""
    return FUNCTIONS | SUBJECTS.keys() | {"args", "state", "session", "now", "tool", "decision", "rule"}


def check_constants(define: Mapping[str, Constant], taken: Mapping[str, Constant], note: Callable[..., None]) -> None:
    """Notes every `define` name that would shadow something; `taken` are those that are defined elsewhere."""
    for name in define:
        if name in reserved_names() or name in taken:
            note(f"`{name}` means something already; use another name", "define", name, key=True)


class _Compiler:
    """One spec on its way to a contract."""

    def __init__(self, written: Written[Spec], problems: Problems, file: Path) -> None:
        self._written = written
        self._spec = written.model
        self._problems = problems
        self._types = Types(written, problems)
        self._file = folders.real(file.parent) / file.name
        self._variables: dict[str, Variable] = {}
        self._session: tuple[Argument, ...] = ()
        returned = (field.origin for tool in self._spec.tools.values() for field in tool.returns.values())
        self._labels = origin_labels(self._spec.tools, (label for label in returned if label))

    def _wrong(self, message: str, *path: str | int, key: bool = False, offset: int = 0) -> None:
        self._problems.add(self._written.problem(message, *path, key=key, offset=offset))

    def contract(self) -> Contract:
        spec = self._spec
        check_constants(spec.define, {}, self._wrong)
        self._types.check_names({*reserved_names(), *spec.define})
        self._session = self._facts()
        variables = Variables(self._written, self._problems, self._types)
        for name, variable in spec.state.items():
            self._variables[name] = variables.variable(name, variable, ("state", name))
            self._check_scope(variable.scope, ("state", name, "scope"))
        self._check_exists("extends", spec.extends)
        self._check_exists("require_proofs", spec.require_proofs)
        tools = tuple(self._tool(name, tool) for name, tool in spec.tools.items())
        contract = Contract(
            name=spec.name,
            tools=tools,
            variables=tuple(self._variables.values()),
            session=self._session,
            owner=spec.owner,
            description=spec.description,
            require_proofs=spec.require_proofs,
            extends=spec.extends,
            server=None if spec.server is None else self._server(spec.server, tools),
            file=str(self._file),
        )
        if not self._problems:
            folders.check(contract, self._wrong)
            cost.check(contract, self._wrong)
            secrecy.check(contract, self._wrong)
        return contract

    def _check_exists(self, key: str, path: str | None) -> None:
        if path is not None and not os.path.exists(self._file.parent / path):  # noqa: PTH110 - `Path.exists` raises on long names
            self._wrong(f"{shown(path)} does not exist; it is relative to this file", key)

    def _facts(self) -> tuple[Argument, ...]:
        """The facts of the session: single values, which the host supplies with every call."""
        facts = []
        for name, spec in self._spec.session.items():
            at: _Path = ("session", name)
            for key in ("optional", "default"):
                if key in spec.model_fields_set:
                    self._wrong(f"a fact of the session is always supplied; take `{key}` out", *at, key)
            if "secret" in spec.model_fields_set:
                message = "a fact of the session is no secret, for its digest is on record; take `secret` out"
                self._wrong(message, *at, "secret")
            fact = self._types.argument(name, spec, at)
            if not isinstance(sort_of(fact.type), ScalarSort):
                self._wrong("a fact of the session is a single value, such as a string or an enum", *at, "type")
            else:
                facts.append(fact)
        return tuple(facts)

    def _check_scope(self, scope: ScopeName, path: _Path) -> None:
        """A scope needs the fact that says whose a value is, and which it can tell apart."""
        fact = FACTS.get(scope)
        if fact is None:
            return
        declared = {each.name: each for each in self._session}
        remedy = f"write `session: {{{fact}: {{type: string}}}}`"
        if fact not in declared and fact not in self._spec.session:
            self._wrong(f"`scope: {scope}` rests on the session fact `{fact}`, which is not declared; {remedy}", *path)
        elif fact in declared and not isinstance(declared[fact].type, StringType | EnumType):
            message = f"`scope: {scope}` rests on the session fact `{fact}`, a `string` or `enum`; {remedy}"
            self._wrong(message, *path)

    def _tool(self, name: str, spec: ToolSpec) -> Tool:
        at: _Path = ("tools", name)
        arguments = tuple(self._types.argument(arg, type_, (*at, "args", arg)) for arg, type_ in spec.args.items())
        scope = Scope(
            tools=tuple(self._spec.tools),
            arguments={name: {argument.name: argument for argument in arguments}},
            state=self._variables,
            constants=self._spec.define,
            facts={"now": TimestampSort()},
            tool=name,
            session={fact.name: fact for fact in self._session},
            labels=self._labels,
        )
        returns = self._returns(spec, (*at, "returns"))
        stage_rules = StageRules(self._wrong, self._expression)
        self._check_effects(spec.effects, (*at, "effects"))
        return Tool(
            name=name,
            arguments=arguments,
            rules=self._rules(spec.rules, scope, (*at, "rules")),
            then=self._then(spec.then, scope, arguments, (*at, "then")),
            on_success=self._on_success(spec.on_success, scope, (*at, "on_success")),
            changes=stage_rules.changes(spec, scope, (*at, "changes")),
            after=stage_rules.after(spec, returns, scope, (*at, "after")),
            returns=returns,
            run=None if spec.run is None else self._run(spec.run, arguments, (*at, "run")),
            description=spec.description,
            effects=tuple(spec.effects),
            place=self._written.place(*at, key=True),
        )

    def _returns(self, spec: ToolSpec, path: _Path) -> tuple[Returned, ...]:
        fields = []
        for name, field in spec.returns.items():
            at: _Path = (*path, name, "type")
            if field.origin == UNKNOWN:
                message = "`unknown` is the origin of what nothing is known of; give the field a label of its own"
                self._wrong(message, *path, name, "origin")
            if field.type is None:
                if field.origin is None:
                    self._wrong("a field of `returns` has a `type`, an `origin`, or both; add one", *path, name)
                fields.append(Returned(name, origin=field.origin or ""))
                continue
            for key in ("secret", "default"):
                if key in field.type.model_fields_set:
                    self._wrong(f"`{key}` is for what a call is given, not for what it returns; take it out", *at, key)
            declared = self._types.argument(name, field.type, at)
            fields.append(Returned(name, declared.type, declared.optional, field.origin or ""))
        return tuple(fields)

    def _check_effects(self, effects: list[str], path: _Path) -> None:
        for at, effect in enumerate(effects):
            if effect in effects[:at]:
                self._wrong(f"the effect {shown(effect)} stands here already; keep one of them", *path, at)

    def _expression(self, source: SourceText, scope: Scope, expected: Sort) -> Expr | None:
        try:
            return compile_expression(source, scope, expected)
        except SpecError as error:
            for problem in error.problems:
                self._problems.add(problem)
            return None

    # --- rules ---------------------------------------------------------------------------------------

    def _rules(self, specs: list[RuleSpec], scope: Scope, path: _Path) -> tuple[Rule, ...]:
        rules = []
        seen: set[str] = set()
        for at, spec in enumerate(specs):
            if spec.id in seen:
                self._wrong(
                    f"the id {shown(spec.id)} stands here already; ids are unique within a tool", *path, at, "id"
                )
            seen.add(spec.id)
            rule = self._rule(spec, scope, (*path, at))
            if rule is not None:
                rules.append(rule)
        return tuple(rules)

    def _rule(self, spec: RuleSpec, scope: Scope, path: _Path) -> Rule | None:
        given = [(kind, source) for kind in KINDS if (source := getattr(spec, kind)) is not None]
        if len(given) != 1:
            self._wrong("a rule has exactly one of `allow`, `ask`, `deny`; split it or add one", *path)
            return None
        kind, source = given[0]
        for key in ("approvers", "expires"):
            if key in spec.model_fields_set and kind != "ask":
                self._wrong(f"`{key}` belongs to `ask`, not to `{kind}`; take it out", *path, key)
        when = self._expression(source, scope, BoolSort())
        if when is None:
            return None
        return Rule(
            id=spec.id,
            kind=kind,
            when=when,
            reason=spec.reason,
            approvers=spec.approvers or 1,
            expires_ms=spec.expires or DEFAULT_EXPIRY_MS,
            text=source.text,
            place=source.place(),
        )

    def _then(
        self, then: dict[str, SourceText], scope: Scope, arguments: tuple[Argument, ...], path: _Path
    ) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        facts = tuple(replace(fact, name=f"session.{fact.name}") for fact in self._session)
        for text, source in then.items():
            made = self._assignment(text, source, scope, path)
            if made is None:
                continue
            self._check_once(assignments, made, (*path, text))
            refusal = budget.refusal(self._variables[made.variable], made, arguments + facts)
            if refusal:
                self._problems.add(source.problem(0, refusal))
            assignments.append(made)
        return tuple(assignments)

    def _on_success(self, written: dict[str, SourceText], scope: Scope, path: _Path) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        for text, source in written.items():
            made = self._assignment(text, source, scope, path)
            if made is None:
                continue
            self._check_once(assignments, made, (*path, text))
            variable = self._variables[made.variable]
            refusal = enabling.refusal(variable, made.value)
            if refusal:
                self._problems.add(source.problem(0, refusal))
                continue
            assignments.append(replace(made, value=enabling.effective(variable, made.value)))
        return tuple(assignments)

    def _check_once(self, assignments: list[Assignment], made: Assignment, path: _Path) -> None:
        if any((before.variable, before.key) == (made.variable, made.key) for before in assignments):
            self._wrong(f"{shown(made.text)} is assigned here already; keep one of them", *path, key=True)

    def _assignment(self, text: str, source: SourceText, scope: Scope, path: _Path) -> Assignment | None:
        try:
            name, key = compile_target(self._written.key(*path, text), scope)
            variable = self._variables[name]
            match variable.sort:
                case SetSort():
                    value = compile_change(source, scope, variable)
                case MapSort(value=sort) | sort:
                    value = compile_expression(source, scope, sort)
        except SpecError as error:
            for problem in error.problems:
                self._problems.add(problem)
            return None
        return Assignment(name, value, key, text)

    # --- run -----------------------------------------------------------------------------------------

    def _run(self, spec: RunSpec, arguments: tuple[Argument, ...], path: _Path) -> Run | None:
        given = [key for key in ("tool", "argv", "host") if getattr(spec, key) is not None]
        if len(given) != 1:
            self._wrong("`run` has exactly one of `tool`, `argv`, `host`", *path)
            return None
        if spec.host is not None:
            for key in _OF_CONTAINERS:
                if key in spec.model_fields_set:
                    self._wrong(f"`{key}` means nothing on the host, where no container is; take it out", *path, key)
        return _granted(self._what(spec, arguments, path), spec, self._network(spec, path))

    def _server(self, spec: ServerSpec, tools: tuple[Tool, ...]) -> Run:
        def note(message: str, *at: str | int, key: bool = False) -> None:
            self._wrong(message, "server", *at, key=key)

        return _granted(serving.compile_served(spec, tools, note), spec, self._network(spec, ("server",)))

    def _network(self, spec: GrantsSpec, path: _Path) -> tuple[NetworkGrant, ...]:
        return grants.compile_grants(spec.network, lambda message, *at: self._wrong(message, *path, *at))

    def _what(self, spec: RunSpec, arguments: tuple[Argument, ...], path: _Path) -> RunTool | RunArgv | RunHost:
        if spec.host is not None:
            return RunHost(spec.host)
        if spec.tool is not None:
            module, _, function = spec.tool.partition(":")
            return RunTool(module, function)
        words = spec.argv or []
        if not words:
            self._wrong("`argv` needs at least one word, the program", *path, "argv")
        types = {argument.name: argument.type for argument in arguments}
        return RunArgv(tuple(self._argv_word(word, types, (*path, "argv", at)) for at, word in enumerate(words)))

    def _argv_word(self, word: str, types: Mapping[str, ArgType], path: _Path) -> str | ArgWord:
        found = _WORD_ARGUMENT.fullmatch(word)
        if found is not None:
            if found[1] not in types:
                self._wrong(f"the tool has no argument {shown(found[1])}{near_miss(found[1], types)}", *path)
            elif _is_wordless(types[found[1]]):
                self._wrong(f"`args.{found[1]}` is no word and no list of words; let a `tool` take it", *path)
            elif path[-1] == 0:
                self._wrong("the program is a constant; an argument may not choose what runs", *path)
            return ArgWord(found[1])
        if "{args" in word:
            self._wrong("`{args.NAME}` is a whole word; make it a word of its own", *path)
        return word


def _granted(what: RunTool | RunArgv | RunHost | RunServer, spec: GrantsSpec, network: tuple[NetworkGrant, ...]) -> Run:
    workspace = spec.workspace
    return Run(
        what=what,
        image=spec.image,
        workspace=None
        if workspace is None
        else Workspace(workspace.source, workspace.mode, workspace.size, workspace.entries),
        network=network,
        timeout_ms=spec.timeout,
        memory=spec.memory,
        millicpus=spec.cpus,
        pids=spec.pids,
        output=spec.output,
        files=spec.files,
        file_size=spec.file_size,
        tmpfs=spec.tmpfs,
        min_isolation=spec.min_isolation,
    )


def _is_wordless(type_: ArgType) -> bool:
    """Whether a value has no form as words of a command line."""
    match type_:
        case ListType(items=items):
            return _is_wordless(items)
        case _:
            return isinstance(type_, RecordType | ShellType)
