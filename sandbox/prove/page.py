"""A report as one page for a browser: self-contained, without a script, and nothing in it comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sandbox.prove import ledger
from sandbox.prove.coverage import Coverage
from sandbox.prove.html import Content, Html, element, prose
from sandbox.prove.page_matrix import matrix
from sandbox.prove.page_sequence import sequence
from sandbox.prove.record import Source, phrase
from sandbox.prove.report import PropertyReport, Report
from sandbox.prove.verdicts import Proved, VerdictName, invariant_of, name_of, reason_of, replay_of

_STYLE: Final = Path(__file__).with_name("page.css")

_TALLY: Final[tuple[tuple[VerdictName, str], ...]] = (
    ("proved", "proved"),
    ("refuted", "refuted"),
    ("vacuous", "say nothing"),
    ("unknown", "not decided"),
    ("bounded", "up to a bound"),
)
_NOTES: Final = {
    "by_type": "the types of the arguments alone exclude it",
    "rules_only": "of the rules' own verdict; limits and faults deny as well",
}


def page(report: Report) -> str:
    """The whole document."""
    style = _STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Proofs: {_standing(report)}"),
        Html(f"<style>{style}</style>"),
    )
    numbered = list(enumerate(report.properties, 1))
    body = element(
        "main",
        _header(report),
        _bar(report),
        [_spec(spec, each, _covered(report, spec)) for spec, each in _by_spec(numbered)],
        _ledger(report),
        _footer(report),
    )
    return f"<!doctype html>\n{element('html', head, element('body', body), lang='en').text}\n"


def _standing(report: Report) -> str:
    count = len(report.properties)
    proved = sum(isinstance(each.verdict, Proved) for each in report.properties)
    if proved == count:
        return "the one property is proved" if count == 1 else f"all {count} properties are proved"
    return f"{count - proved} of {count} properties {'is' if count - proved == 1 else 'are'} not proved"


def _header(report: Report) -> Html:
    said, look = _said(report)
    badge = element("span", said, class_=f"badge {look}")
    lead = "What must never, must always and can happen: over every call, and every sequence of calls of any length."
    tallies = [
        element("li", element("b", count), element("span", said))
        for name, said in _TALLY
        if (count := _count(report, name)) or name in {"proved", "refuted"}
    ]
    return element(
        "header",
        element(
            "div",
            element("h1", "Proofs"),
            element("p", lead, class_="lead"),
            element("p", badge, _standing(report), class_="verdict-line"),
        ),
        element("ul", tallies, class_="tally", aria_label="verdicts"),
    )


def _said(report: Report) -> tuple[str, VerdictName]:
    """What all of it comes to, and the look of it."""
    names = {name_of(each.verdict) for each in report.properties}
    if names & {"refuted", "vacuous"}:
        return "does not hold", "refuted"
    if names & {"unknown", "bounded"}:
        return "not decided", "unknown"
    return ("the ledger differs", "unknown") if report.differences else ("holds", "proved")


def _count(report: Report, name: VerdictName) -> int:
    return sum(name_of(each.verdict) == name for each in report.properties)


def _bar(report: Report) -> Html:
    """The verdicts as parts of one line; of attributes alone, for styles in the text are not allowed."""
    total, x, parts = len(report.properties), 0.0, []
    for name, _ in _TALLY:
        width = 100 * _count(report, name) / total if total else 0
        if width:
            parts.append(element("rect", x=f"{x:.2f}", y="0", width=f"{width:.2f}", height="6", class_=f"part {name}"))
        x += width
    return element("svg", parts, viewBox="0 0 100 6", preserveAspectRatio="none", class_="bar", aria_hidden="true")


# --- a spec ------------------------------------------------------------------------------------------


def _by_spec(
    numbered: list[tuple[int, PropertyReport]],
) -> Iterator[tuple[str, list[tuple[int, PropertyReport]]]]:
    """The properties of each spec, in the order of the report; two specs of one name are two."""
    groups: dict[tuple[str, str], list[tuple[int, PropertyReport]]] = {}
    for number, each in numbered:
        groups.setdefault((each.spec, each.contract.file if each.contract else ""), []).append((number, each))
    for (spec, _), found in groups.items():
        yield spec, found


def _covered(report: Report, spec: str) -> Coverage | None:
    return next((covered for covered in report.coverage if covered.spec == spec), None)


def _spec(spec: str, numbered: list[tuple[int, PropertyReport]], covered: Coverage | None) -> Html:
    contract = numbered[0][1].contract
    files = dict.fromkeys(Path(each.file).name for _, each in numbered)
    head = element(
        "div",
        element("h2", spec),
        element("span", contract.description if contract is not None else "", class_="quiet"),
        element("span", ", ".join(files), class_="quiet mono"),
        class_="head",
    )
    return element(
        "section",
        head,
        [_property(number, each) for number, each in numbered],
        matrix(contract, numbered) if contract is not None else (),
        _unspoken(covered),
        class_="spec",
    )


def _property(number: int, report: PropertyReport) -> Html:
    subject, verdict = report.subject, report.verdict
    name = name_of(verdict)
    replayed = replay_of(verdict)
    spent = "cached" if report.cached else f"{report.duration_ms} ms"
    title = element(
        "div",
        element("span", number, class_="number"),
        element("span", subject.id, class_="name"),
        element("span", subject.kind, class_="badge kind"),
        element("span", name, class_=f"badge {name}"),
        element("span", f"{', '.join(report.solvers)} · {spent}", class_="spent"),
        class_="title",
    )
    return element(
        "article",
        title,
        element("p", element("code", subject.text), class_="condition") if subject.text else (),
        element("p", subject.why, class_="why") if subject.why else (),
        _reason(report),
        _invariants(invariant_of(verdict)),
        _rests_on(report) if isinstance(verdict, Proved) else (),
        sequence(replayed, breaks=not isinstance(verdict, Proved)) if replayed is not None else (),
        [element("p", prose(each.words), class_="mend") for each in report.mends],
        class_=f"property {name}",
        id=f"p{number}",
    )


def _reason(report: PropertyReport) -> Content:
    reason = reason_of(report.verdict)
    return element("p", prose(_NOTES.get(reason, reason)), class_="reason") if reason else ()


def _invariants(texts: tuple[str, ...]) -> Content:
    if not texts:
        return ()
    return element(
        "p", "by an invariant that was found: ", [element("code", text) for text in texts], class_="invariant"
    )


def _rests_on(report: PropertyReport) -> Content:
    sources = report.rests_on.sources
    if not sources:
        return ()
    return element("div", element("span", "rests on"), [_chip(source) for source in sources], class_="rests")


def _chip(source: Source) -> Html:
    match source.kind:
        case "rule" | "invariant":
            return element("span", element("code", source.name), element("small", source.kind), class_="chip")
        case "argument":
            return element("span", element("code", source.name), element("small", source.words), class_="chip")
        case _:
            return element("span", prose(phrase(source)), class_="chip")


def _unspoken(covered: Coverage | None) -> Content:
    left = (
        [*covered.tools.left_out, *covered.arguments.left_out, *covered.state.left_out] if covered is not None else []
    )
    if not left:
        return ()
    return element(
        "div",
        element("h3", "No property speaks of"),
        element("div", [element("code", name, class_="chip") for name in left], class_="unspoken"),
        class_="panel",
    )


# --- the end -----------------------------------------------------------------------------------------


def _ledger(report: Report) -> Content:
    lines = [difference.words for difference in report.differences]
    lines += [f"there is none in `{folder}`" for folder, status in report.ledgers if status == "absent" and not lines]
    if not lines:
        return ()
    items = element("ul", [element("li", prose(line)) for line in lines], class_="ledger")
    return element("section", element("div", element("h3", "Ledger"), items, class_="panel"), class_="spec")


def _footer(report: Report) -> Html:
    solvers = ", ".join(f"{name} {number}" for name, number in ledger.versions().items())
    spent = sum(each.rlimit for each in report.properties)
    return element(
        "footer",
        element(
            "p", f"sandbox {version('sandbox')}; {solvers}; {spent} units of Z3; encoder {ledger.encoder_digest()}"
        ),
        element("p", "Check it without us: sandbox prove --emit DIR, then sh DIR/check.sh"),
    )
