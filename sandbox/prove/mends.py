"""What would mend a refuted property: one bound of the spec made stricter, as little as it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.errors import Place
from sandbox.ir import NOWHERE, Json
from sandbox.prove.tighten import Where


@dataclass(frozen=True, slots=True)
class Mend:
    """With this change of the spec, and nothing else, the property was proved.

    `of` is the rule, or the argument, of `tool`. `becomes` is the bound as it would read, `now` its number as it is;
    `beyond` the next laxer number, if with that the property was refuted by calls that replay, '' if it is not known.
    Where values have to go, `becomes` is what they are compared with, and `left_out` are the values.
    """

    where: Where
    tool: str
    of: str
    becomes: str
    now: str = ""
    beyond: str = ""
    left_out: tuple[str, ...] = ()
    place: Place = NOWHERE

    @property
    def words(self) -> str:
        """One line for a person."""
        what = "rule" if self.where == "rule" else "argument"
        at = f", line {self.place.line}:{self.place.column}" if self.place != NOWHERE else ""
        site = f"{what} `{self.of}` of `{self.tool}`{at}"
        if self.left_out:
            return f"without {_listed(self.left_out)} for `{self.becomes}` ({site}) it would hold"
        but = f"; with `{self.beyond}` it would not" if self.beyond not in {"", self.now} else ""
        return f"with `{self.becomes}` (now `{self.now}`; {site}) it would hold{but}"


def mend_to_json(mend: Mend) -> Json:
    """The mend as it stands in a report."""
    return {
        "where": mend.where,
        "tool": mend.tool,
        "of": mend.of,
        "becomes": mend.becomes,
        "now": mend.now,
        "beyond": mend.beyond,
        "left_out": list(mend.left_out),
        "line": mend.place.line,
        "column": mend.place.column,
        "words": mend.words,
    }


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
