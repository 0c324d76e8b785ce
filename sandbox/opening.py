"""What must hold before a gate opens on a spec, whatever the model will say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from sandbox import ir
from sandbox.call import Proofs
from sandbox.canonical import quoted
from sandbox.compile import load_properties
from sandbox.errors import UsageError
from sandbox.evaluate import Env, truth
from sandbox.events import emit, warn
from sandbox.holders import NOBODY, Holders
from sandbox.ir import Contract
from sandbox.machine import StateValue, StoredState, effective, initial_value
from sandbox.policy import Policy
from sandbox.prove.ordered import holds_more, windows_in_order
from sandbox.prove.resting import Invariant
from sandbox.prove.standing import Standing, found_for, proofs_of_all, standing


def check_engine(policy: Policy, engine: str, proved: str | Sequence[str] | None) -> None:
    """`engine="evaluator"` rests on the proofs alone, so the caller must name the very contracts that were proved."""
    if engine == "both":
        return
    if engine != "evaluator":
        message = f"engine is `both` or `evaluator`, not `{engine}`"
        raise UsageError(message)
    named = {proved} if isinstance(proved, str) else set(proved or ())
    for _, digest in policy.digests():
        if digest not in named:
            message = f"engine `evaluator` needs proved_digest=`{digest}`, given from outside by whoever proved it"
            raise UsageError(message)


def check_workspaces(contract: Contract, state_folder: Path) -> None:
    """A workspace may not be, hold or lie within the folder of the state: a call could rewrite its own budget."""
    state = state_folder.resolve()
    for name, run in (*((tool.name, tool.run) for tool in contract.tools), ("server", contract.server)):
        if run is None or run.workspace is None:
            continue
        source = (Path(contract.file).parent / run.workspace.source).resolve()
        if source == state or source in state.parents or state in source.parents:
            message = f"the workspace `{source}` of `{name}` and the state in `{state}` overlap; move one of them"
            raise UsageError(message)


@dataclass(frozen=True, slots=True)
class Checked:
    """How the proofs of every spec of a gate stand: told as one, and each spec's by its name."""

    told: Proofs
    standings: Mapping[str, Standing]


def check_all_proofs(policy: Policy) -> Checked:
    """`check_proofs` of every spec of a gate."""
    standings = {each.name: check_proofs(each) for each in policy.contracts}
    return Checked(proofs_of_all(tuple(standings.values())), standings)


def check_proofs(contract: Contract) -> Standing:
    """How the spec's proofs stand; where it says `require_proofs`, they are all there, current and `proved`.

    Where nothing is required, what is found is only told.
    """
    if contract.require_proofs is None:
        return found_for(contract)
    place = Path(contract.file).parent / contract.require_proofs
    sets, digest = load_properties(place), ir.digest(contract)
    own = tuple(each for each in sets if ir.digest(each.contract) == digest)
    if not any(each.properties for each in own):
        message = f"`{contract.name}` requires proofs, and `{place}` has no property that proves this spec"
        raise UsageError(message, "proofs.missing")
    found = standing(contract, sets, place)
    if found.flaws:
        message = f"`{contract.name}` requires proofs; {found.flaws[0].words}: `sandbox prove {place} --update`"
        raise UsageError(message, "proofs.stale")
    return found


def tell_proofs(found: Standing) -> None:
    """A log event of how the proofs stand; a warning where they do not say that this spec is proved."""
    told, status = (emit if found.proofs.status in {"current", "none"} else warn), found.proofs.status
    reason = found.flaws[0].words if found.flaws else ""
    told(
        "gate.proofs", spec=found.spec, status=status, digest=found.proofs.digest, flaws=len(found.flaws), reason=reason
    )


def check_state(
    contract: Contract,
    found: Standing,
    stored: StoredState,
    holders: Holders = NOBODY,
    *,
    come: AbstractSet[str] = frozenset(),
) -> None:
    """The stored state, ticked, is one that the current proofs of the spec speak of, where there are any.

    They speak of what is reached from `initial` by this spec; an earlier one may have left anything. `holders` is whose
    state it is, `come` are the conditions of a `needs` that calls have met; of any other nothing has come.
    """
    if not found.proved:
        return
    state = effective(contract, stored)
    wrong = [f"{each.source} is false of it" for each in found.invariants if not _holds(each, state, come)]
    begins = {variable.name: initial_value(variable) for variable in contract.variables}
    written = {step.variable for tool in contract.tools for step in (*tool.then, *tool.on_success)}
    wrong += [
        f"`{each.name}` is stored as `{_text(state[each.name])}`, nothing writes it, and the spec begins with "
        f"`{_text(begins[each.name])}`"
        for each in contract.variables
        if each.name not in written and state[each.name] != begins[each.name]
    ]
    wrong += [
        f"`{one}` has amounts that are not in `{other}`, which is never given less"
        for one, other in windows_in_order(contract)
        if holds_more(stored, one, other)
    ]
    if wrong:
        remedy = "restore the spec, or choose another state with --state to begin with all budgets at `initial`"
        whose = "".join(f" (of the {scope} {quoted(holder)})" for scope, holder in holders.items())
        message = f"the stored state of `{contract.name}`{whose} is none that its proofs speak of: {wrong[0]}; {remedy}"
        raise UsageError(message, "state.unproved")


def _holds(invariant: Invariant, state: Mapping[str, StateValue], come: AbstractSet[str]) -> bool:
    remembered = {invariant.remembers: invariant.before in come} if invariant.remembers else {}
    return truth(invariant.condition)(Env({}, {**state, **remembered}))


def _text(value: StateValue) -> str:
    match value:
        case bool():
            return str(value).lower()
        case AbstractSet():
            return f"a set of {len(value)}"
        case Mapping():
            return f"a map of {len(value)} keys"
        case _:
            return str(value)
