"""What else differs between two versions of a spec: read off, told, and not proved anything about."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.ir import Contract, Rule, Tool


def differences(old: Contract, new: Contract) -> Iterator[str]:
    """A line for each thing that calls may notice and that the comparison of verdicts says nothing of."""
    yield from _of_whole(old, new)
    for tool in new.tools:
        before = old.tool(tool.name)
        if before is not None:
            yield from _of_tool(before, tool)
        elif tool.run is not None:
            yield f"`{tool.name}` is new: read what its `run` grants"


def _of_whole(old: Contract, new: Contract) -> Iterator[str]:
    if old.extends != new.extends:
        was, now = _shown(old.extends), _shown(new.extends)
        yield f"`extends` was {was} and is {now}: ceilings are not part of this comparison"
    if old.server != new.server:
        yield "what the `server` is granted is another"
    yield from _of_facts(old, new)
    theirs = {variable.name: variable for variable in old.variables}
    for variable in new.variables:
        known = theirs.pop(variable.name, None)
        if known is None:
            yield f"`state.{variable.name}` is new, and begins at `initial`"
        elif known != variable:
            yield f"`state.{variable.name}` is declared otherwise: see what a stored state becomes when the gate opens"
    for name in theirs:
        yield f"`state.{name}` is gone"


def _of_facts(old: Contract, new: Contract) -> Iterator[str]:
    """What a host must supply is no rule, so that the comparison takes it as supplied, of the new version's type."""
    before = {fact.name: fact for fact in old.session}
    for fact in new.session:
        known = before.pop(fact.name, None)
        if known is None:
            yield f"`session.{fact.name}` is demanded now: a host that does not supply it is denied everything"
        elif known != fact:
            yield f"`session.{fact.name}` is of another type: what it may be is compared as the new version says"
    for name in before:
        yield f"`session.{name}` is not demanded any more: calls without it were denied, and are not now"


def _of_tool(old: Tool, new: Tool) -> Iterator[str]:
    if old.run != new.run:
        yield f"what `{new.name}` runs, or is granted, is another: compare its `run`"
    if old.then != new.then or old.on_success != new.on_success:
        yield f"what a call of `{new.name}` does to the state is another"
    if old.returns != new.returns:
        yield f"`{new.name}` returns other fields, or leaves other labels: origins are compared as the same ones"
    if old.changes != new.changes:
        yield f"`{new.name}` has other rules for the changes that it makes"
    if old.after != new.after:
        yield f"`{new.name}` has other rules for its results"
    hidden, were = ({a.name for a in tool.arguments if a.secret} for tool in (new, old))
    for name in sorted(were - hidden):
        yield f"`{name}` of `{new.name}` is no secret any more"
    yield from _of_asking(old, new)


def _of_asking(old: Tool, new: Tool) -> Iterator[str]:
    """Who is asked is what the first `ask` rule that is true says, so that their order matters."""
    ours, theirs = ([_demand(rule) for rule in tool.rules if rule.kind == "ask"] for tool in (new, old))
    before = dict(zip((rule.id for rule in old.rules if rule.kind == "ask"), theirs, strict=True))
    for rule in (rule for rule in new.rules if rule.kind == "ask"):
        if rule.id in before and before[rule.id] != _demand(rule):
            people, seconds = before[rule.id]
            yield (
                f"rule `{rule.id}` of `{new.name}` asks for {rule.approvers} within {rule.expires_ms // 1000} s, "
                f"and asked for {people} within {seconds // 1000} s"
            )
    if len({*ours, *theirs}) > 1 and [*before] != [rule.id for rule in new.rules if rule.kind == "ask"]:
        yield f"the `ask` rules of `{new.name}` stand otherwise, and the first that is true says how many are asked"


def _demand(rule: Rule) -> tuple[int, int]:
    return rule.approvers, rule.expires_ms


def _shown(path: str | None) -> str:
    return "nothing" if path is None else f"`{path}`"
