"""Which sets and maps a permit may not come to be stored in, which denies whatever the rules say.

One that is as large as it may be takes nothing more, and no entry of a map is written twice by one call. How much is in
them no term says, so it is only told whether there may be such calls, read off from what is assigned.
"""

from __future__ import annotations

from collections import Counter

from sandbox.ir import MAX_ENTRIES, Contract, EnumType, MapSort, SetAdd, SetSort, Tool, Variable
from sandbox.lang.walk import within


def perhaps_not_stored(contract: Contract, tool: Tool) -> frozenset[str]:
    """The sets and maps that may be full for a call of the tool, or in which it may write one entry twice."""
    return frozenset(v.name for v in contract.variables if _may_be_full(v, tool) or _may_write_twice(v, tool))


def _may_be_full(variable: Variable, tool: Tool) -> bool:
    if _bounded(variable):
        return False
    steps = [each for each in tool.then if each.variable == variable.name]
    match variable.sort:
        case SetSort():
            return any(isinstance(part, SetAdd) for each in steps for part in within(each.value))
        case MapSort():
            return bool(steps)
        case _:
            return False


def _bounded(variable: Variable) -> bool:
    """Whether there are no more items or keys than it has room for."""
    most = MAX_ENTRIES if variable.max_size is None else variable.max_size
    return isinstance(variable.key, EnumType) and len(variable.key.values) <= most


def _may_write_twice(variable: Variable, tool: Tool) -> bool:
    return isinstance(variable.sort, MapSort) and Counter(each.variable for each in tool.then)[variable.name] > 1
