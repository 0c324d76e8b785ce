"""Property files -> properties of the contracts that they prove, or every reason why not, each at its place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from sandbox.compile import ceilings, flows, folders, sames
from sandbox.compile.contract import Loaded, check_constants, load
from sandbox.compile.policy import ceilings_of
from sandbox.errors import PropertyError, SpecError, UsageError
from sandbox.ir import (
    TRUE,
    VERDICTS,
    BoolSort,
    Contract,
    EnumSort,
    Expr,
    Fact,
    OriginHas,
    Property,
    PropertyKind,
    State,
    TimestampSort,
)
from sandbox.lang import Scope, compile_expression
from sandbox.lang.later import NOT_YET
from sandbox.lang.source import Problems, SourceText, shown
from sandbox.lang.suggest import near_miss
from sandbox.lang.walk import parts, within
from sandbox.origins import labels_of
from sandbox.spec import Written, read_properties
from sandbox.spec.model import FlowSpec, NeedsSpec, PropertyFile, PropertySpec

KINDS: Final[tuple[PropertyKind, ...]] = ("never", "always", "possible", "needs", "flow", "within")


_Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class PropertySet:
    """What one property file says about one spec. `file` is the property file's absolute path.

    `ceilings` are what the spec extends, the nearest first: they judge its calls too.
    """

    file: str
    contract: Contract
    properties: tuple[Property, ...]
    ceilings: tuple[Contract, ...] = ()


def load_properties(path: str | Path) -> tuple[PropertySet, ...]:
    """The properties in a file, or in a folder's own `*.yaml`; one set for each spec that a file proves.

    Raises PropertyError or SpecError with every problem that could be found, UsageError where there is no such file.
    """
    place = Path(path)
    if not place.is_dir():
        return _load_file(place, str(path))
    files = sorted(file for file in place.glob("*.yaml") if file.is_file())
    return tuple(found for file in files for found in _load_file(file, str(file)))


def _load_file(file: Path, name: str) -> tuple[PropertySet, ...]:
    written = read_properties(file, name)
    problems = Problems(PropertyError)
    sets = [
        found
        for at in range(len(written.model.proves))
        if (found := _one_spec(written, file, at, problems)) is not None
    ]
    if not written.model.proves:
        problems.add(written.problem("`proves` names no spec; write the path of one", "proves"))
    _check_names(written, sets, problems)
    problems.raise_if_any()
    return tuple(sets)


def _check_names(written: Written[PropertyFile], sets: list[PropertySet], problems: Problems) -> None:
    """Reports and the ledger tell the specs of one file apart by their names."""
    names = [each.contract.name for each in sets]
    for at, name in enumerate(names):
        if name in names[:at]:
            problems.add(written.problem(f"two of these specs are both named `{name}`; rename one of them", "proves"))


def _one_spec(written: Written[PropertyFile], file: Path, at: int, problems: Problems) -> PropertySet | None:
    spec = file.parent / written.model.proves[at]
    try:
        loaded = load(spec, os.path.normpath(spec))
    except UsageError:
        message = f"{shown(written.model.proves[at])} is no spec file; the path is relative to this file"
        problems.add(written.problem(message, "proves", at))
        return None
    compiler = _Compiler(written, loaded, file, problems)
    compiler.check_place(file)
    above = ceilings_of(spec, os.path.normpath(spec), loaded)
    own = ceilings.extended(loaded, above)
    place = str(folders.real(file.parent) / file.name)
    return PropertySet(place, loaded.contract, (*compiler.properties(), *own), above)


class _Compiler:
    """The properties of one file about one contract."""

    def __init__(self, written: Written[PropertyFile], loaded: Loaded, file: Path, problems: Problems) -> None:
        self._written = written
        self._loaded = loaded
        self._file = file
        self._contract = loaded.contract
        self._constants = {**loaded.constants, **written.model.define}
        self._taken = loaded.constants
        self._problems = problems

    def _wrong(self, message: str, *path: str | int, key: bool = False) -> None:
        self._problems.add(self._written.problem(message, *path, key=key))

    def check_place(self, file: Path) -> None:
        for tool in self._contract.tools:
            workspace = tool.run.workspace if tool.run is not None else None
            if workspace and folders.holds(
                folders.workspace_folder(self._contract, workspace.source), folders.real(file)
            ):
                self._wrong(
                    f"this file lies in the workspace of `{tool.name}`, which calls may change; move it", "proves"
                )

    def properties(self) -> tuple[Property, ...]:
        check_constants(self._written.model.define, self._taken, self._wrong)
        found = []
        seen: set[str] = set()
        for at, spec in enumerate(self._written.model.properties):
            if spec.id in seen:
                self._wrong(
                    f"the id {shown(spec.id)} stands here already; ids are unique within a file", "properties", at, "id"
                )
            if spec.id == ceilings.EXTENDS and self._contract.extends is not None:
                message = "`extends` is the id of what is proved of every spec that extends one; choose another"
                self._wrong(message, "properties", at, "id")
            seen.add(spec.id)
            property_ = self._property(spec, ("properties", at))
            if property_ is not None:
                found.append(property_)
        return tuple(found)

    def _property(self, spec: PropertySpec, path: _Path) -> Property | None:
        given = [kind for kind in KINDS if getattr(spec, kind) is not None]
        if len(given) != 1:
            kinds = ", ".join(f"`{kind}`" for kind in KINDS)
            message = f"a property has exactly one of {kinds}; split it or add one"
            self._wrong(message, *path)
            return None
        kind = given[0]
        if kind == "within":
            return self._within(spec, path)
        if spec.needs is not None:
            return self._needs(spec, spec.needs, path)
        if spec.flow is not None:
            return self._flow(spec, spec.flow, path)
        source: SourceText = getattr(spec, kind)
        if kind == "always":
            for key in ("tools", "effect"):
                if key in spec.model_fields_set:
                    self._wrong(f"`always` is about `state` alone; take `{key}` out, or write `never`", *path, key)
            tools: tuple[str, ...] | None = ()
        else:
            tools = self._tools(spec, path)
        if tools is None:
            return None
        condition = self._condition(source, kind, tools)
        if condition is None:
            return None
        return Property(
            id=spec.id,
            kind=kind,
            condition=condition,
            tools=tools,
            mentions_decision=_mentions_decision(condition),
            why=spec.why,
            text=source.text,
            place=source.place(),
        )

    def _condition(self, source: SourceText, kind: PropertyKind, tools: tuple[str, ...]) -> Expr | None:
        try:
            return compile_expression(source, self._scope(kind, tools), BoolSort())
        except SpecError as error:
            for problem in error.problems:
                self._problems.add(problem)
            return None

    def _needs(self, spec: PropertySpec, needs: NeedsSpec, path: _Path) -> Property | None:
        """The calls that are let through are those of `tools` or `effect`; the one before may be any tool's."""
        tools = self._tools(spec, path)
        before = self._condition(needs.before, "needs", tuple(tool.name for tool in self._contract.tools))
        after = None if tools is None else self._condition(needs.after, "needs", tools)
        if tools is None or before is None or after is None:
            return None
        moving = tuple(dict.fromkeys(name for part in within(before) if (name := _moving(part))))
        if moving:
            message = f"`before` reads `{moving[0]}`, which is {NOT_YET}; it may read `args`, `tool` and `session`"
            self._wrong(message, *path, "needs", "before")
            return None
        if needs.same == []:
            self._wrong("`same` names nothing; take the key out", *path, "needs", "same")
        same = sames.paths_of(self._contract, needs.same or (), before, (after, tools), self._problems)
        if same is None or needs.same == []:
            return None
        alike = f" with the same {', '.join(same)}" if same else ""
        return Property(
            id=spec.id,
            kind="needs",
            condition=after,
            tools=tools,
            mentions_decision=_mentions_decision(after),
            why=spec.why,
            text=f"{needs.before.text} before {needs.after.text}{alike}",
            before=before,
            same=same,
            place=self._written.place(*path, "needs"),
        )

    def _flow(self, spec: PropertySpec, flow: FlowSpec, path: _Path) -> Property | None:
        everywhere = spec.tools is None and spec.effect is None
        chosen, name = self._tools(spec, path), flows.argument_in(flow.to, self._problems)
        unknown = flows.unknown_label(self._contract, flow.from_)
        if unknown:
            self._wrong(unknown, *path, "flow", "from")
        if chosen is None or name is None:
            return None
        found = flows.flows_to(self._contract, name, None if everywhere else chosen)
        if isinstance(found, str):
            self._wrong(found, *path, "flow", "to")
        if isinstance(found, str) or unknown:
            return None
        condition = flows.flow_condition(self._contract, flow, name, found)
        return Property(
            id=spec.id,
            kind="flow",
            condition=condition,
            tools=tuple(tool.name for tool in found),
            mentions_decision=_mentions_decision(condition),
            why=spec.why,
            text=f"{flow.from_} to {flow.to.text}{' unless approved' if flow.unless else ''}",
            place=self._written.place(*path, "flow"),
        )

    def _within(self, spec: PropertySpec, path: _Path) -> Property | None:
        tools = self._tools(spec, path)
        source = spec.within or ""

        def note(message: str) -> None:
            self._wrong(message, *path, "within")

        named = ceilings.named(self._loaded, self._file.parent, source, note, self._problems)
        if tools is None or not named:
            return None
        return Property(
            id=spec.id,
            kind="within",
            condition=TRUE,
            tools=tools,
            why=spec.why,
            text=source,
            ceilings=named,
            place=self._written.place(*path, "within"),
        )

    def _tools(self, spec: PropertySpec, path: _Path) -> tuple[str, ...] | None:
        names = [tool.name for tool in self._contract.tools]
        if spec.tools is not None and spec.effect is not None:
            self._wrong("`tools` and `effect` exclude each other; keep one of them", *path, "effect")
            return None
        if spec.tools is not None:
            return self._named(spec.tools, names, (*path, "tools"))
        if spec.effect is None:
            return tuple(names)
        chosen = tuple(tool.name for tool in self._contract.tools if spec.effect in tool.effects)
        if not chosen:
            effects = {effect for tool in self._contract.tools for effect in tool.effects}
            self._wrong(
                f"no tool has the effect {shown(spec.effect)}{near_miss(spec.effect, effects)}", *path, "effect"
            )
            return None
        return chosen

    def _named(self, tools: list[str], names: list[str], path: _Path) -> tuple[str, ...] | None:
        unknown = [at for at, name in enumerate(tools) if name not in names]
        for at in unknown:
            self._wrong(f"the spec has no tool {shown(tools[at])}{near_miss(tools[at], names)}", *path, at)
        if not tools:
            self._wrong("`tools` names no tool; take the key out to mean all of them", *path)
        if unknown or not tools:
            return None
        return tuple(name for name in names if name in tools)

    def _scope(self, kind: PropertyKind, tools: tuple[str, ...]) -> Scope:
        contract = self._contract
        state = {variable.name: variable for variable in contract.variables}
        if kind == "always":
            return Scope(state=state, constants=self._constants)
        ranged = [tool for tool in contract.tools if tool.name in tools]
        rules = dict.fromkeys(rule.id for tool in ranged for rule in tool.rules)
        return Scope(
            tools=tuple(tool.name for tool in contract.tools),
            arguments={tool.name: {argument.name: argument for argument in tool.arguments} for tool in ranged},
            state=state,
            constants=self._constants,
            facts={
                "now": TimestampSort(),
                "tool": EnumSort(tuple(tool.name for tool in contract.tools)),
                "decision": EnumSort(VERDICTS),
                "rule": EnumSort(("", *rules)),
            },
            session={fact.name: fact for fact in contract.session},
            labels=labels_of(contract),
        )


def _mentions_decision(expr: Expr) -> bool:
    if isinstance(expr, Fact) and expr.name == "decision":
        return True
    return any(_mentions_decision(part) for part in parts(expr))


def _moving(part: Expr) -> str:
    """The author's name for what is not the same when a call is judged and when it has ended; '' for what is."""
    match part:
        case State():
            return "state"
        case OriginHas():
            return "origin"
        case Fact(name=name) if name != "tool" and not name.startswith("session."):
            return name
        case _:
            return ""
