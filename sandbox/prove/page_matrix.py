"""Which property has to do with which rule: what proofs rest on, what calls went through, what nothing would miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sandbox.ir import Contract
from sandbox.prove.coverage import spoken_of
from sandbox.prove.html import Content, Html, element
from sandbox.prove.report import PropertyReport
from sandbox.prove.verdicts import Proved, replay_of

MANY: Final = 60
"""Rules; more of them are shown on demand."""

Cell: TypeAlias = Literal["broke", "needs", "shows", "ranges", "none"]

_SIGNS: Final[dict[Cell, tuple[str, str]]] = {
    "needs": ("●", "the proof rests on the rule"),
    "shows": ("◆", "the calls that show it go by the rule"),
    "broke": ("✕", "the rule let a call through that breaks it"),
    "ranges": ("○", "it is about the rule's tool, and does not need the rule"),
    "none": ("", ""),
}


@dataclass(frozen=True, slots=True)
class _Column:
    number: int
    subject: str
    broke: frozenset[str]
    needs: frozenset[str]
    shows: frozenset[str]
    ranges: frozenset[str]

    def cell(self, rule: str) -> Cell:
        """What the property has to do with a rule, the most telling first."""
        if rule in self.broke:
            return "broke"
        if rule in self.needs:
            return "needs"
        if rule in self.shows:
            return "shows"
        return "ranges" if rule in self.ranges else "none"


def matrix(contract: Contract, numbered: list[tuple[int, PropertyReport]]) -> Content:
    """A row for each rule, a column for each property."""
    columns = [_column(contract, number, report) for number, report in numbered]
    count = sum(len(tool.rules) for tool in contract.tools)
    if not count:
        return ()
    told = all(isinstance(report.verdict, Proved) for _, report in numbered)
    head = element(
        "thead", element("tr", element("th", "rule", scope="row"), [_head(column) for column in columns], element("th"))
    )
    rows: list[Html] = []
    for tool in contract.tools:
        rows.append(element("tr", element("th", tool.name, scope="rowgroup", colspan=str(len(columns) + 2))))
        rows += [_row(f"{tool.name}.{rule.id}", rule.id, rule.kind, columns, told=told) for rule in tool.rules]
    table = element("div", element("table", head, element("tbody", rows)), class_="scroll")
    legend = [
        element("span", element("span", sign, class_=name), f" {words}")
        for name, (sign, words) in _SIGNS.items()
        if sign
    ]
    shown: Content = table
    if count > MANY:
        shown = element("details", element("summary", f"all {count} rules"), table)
    return element(
        "div", element("h3", "Rules and properties"), shown, element("div", legend, class_="legend"), class_="panel"
    )


def _column(contract: Contract, number: int, report: PropertyReport) -> _Column:
    replayed, proved = replay_of(report.verdict), isinstance(report.verdict, Proved)
    calls = zip(replayed.moves.calls, replayed.decisions, strict=False) if replayed is not None else ()
    used = frozenset(f"{move.tool}.{decision.rule}" for move, decision in calls)
    needs = frozenset(source.name for source in report.rests_on.sources if source.kind == "rule" and proved)
    return _Column(
        number,
        report.subject.id,
        frozenset() if proved else used,
        needs,
        used if proved else frozenset(),
        spoken_of(contract, report.subject)["rules"],
    )


def _head(column: _Column) -> Html:
    return element("th", element("a", column.number, href=f"#p{column.number}", title=column.subject), scope="col")


def _row(rule: str, name: str, kind: str, columns: list[_Column], *, told: bool) -> Html:
    cells = [column.cell(rule) for column in columns]
    missed = told and not {"needs", "shows"} & set(cells)
    return element(
        "tr",
        element("th", element("code", name), " ", element("span", kind, class_=f"badge {kind}"), scope="row"),
        [_cell(cell, name, column) for cell, column in zip(cells, columns, strict=True)],
        element("td", "nothing rests on it" if missed else "", class_="row-note"),
    )


def _cell(cell: Cell, rule: str, column: _Column) -> Html:
    sign, words = _SIGNS[cell]
    label = f"{rule}, {column.subject}: {words}" if words else None
    return element(
        "td", element("span", sign, class_=cell, title=label, aria_label=label) if sign else (), class_="cell"
    )
