"""What Z3 answers to a text: read anew, in a context that knows nothing of where the text came from."""

from __future__ import annotations

from typing import Literal, TypeAlias

import z3

Read: TypeAlias = Literal["unsat", "sat", "unknown"]


def read_anew(text: str, time_ms: int, rlimit: int = 0) -> Read:
    """The answer to the one `check-sat` of an SMT-LIB 2 script; whatever is not a clear answer is `unknown`.

    `rlimit` bounds it by units of work, the same on every machine; 0 for no such bound.
    """
    solver = z3.Solver(ctx=z3.Context())
    solver.set("timeout", max(1, time_ms))
    solver.set("rlimit", rlimit)
    try:
        solver.from_string(text)
        answer = solver.check()
    except z3.Z3Exception:
        return "unknown"
    if answer == z3.unsat:
        return "unsat"
    return "sat" if answer == z3.sat else "unknown"
