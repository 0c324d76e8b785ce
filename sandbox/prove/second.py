"""The second opinion: cvc5 decides the exported SMT-LIB text, which is all that it shares with the first solver."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Opinion: TypeAlias = Literal["sat", "unsat", "unknown"]

_ANSWERS: Final[dict[str, Opinion]] = {"sat": "sat", "unsat": "unsat"}


def second_opinion(script: str, timeout_ms: int) -> Opinion:
    """What cvc5 answers to the one `check-sat` of an SMT-LIB 2 script; whatever is not a clear answer is `unknown`."""
    import cvc5  # noqa: PLC0415 - loaded only where a second opinion is asked for

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("tlimit-per", str(max(1, timeout_ms)))
    solver.setOption("arrays-exp", "true")  # else it refuses maps and sets that begin as one value
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script, "query")
    symbols = parser.getSymbolManager()
    answers = []
    try:
        while not (command := parser.nextCommand()).isNull():
            answers.append(str(command.invoke(solver, symbols)).strip())
    except RuntimeError:  # cvc5's own exceptions; a script that it refuses is not decided
        return "unknown"
    spoken = [answer for answer in answers if answer]
    return _ANSWERS.get(spoken[0], "unknown") if len(spoken) == 1 else "unknown"
