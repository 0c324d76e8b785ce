"""The page: whole, safe whatever an author wrote, nothing of it from elsewhere, and every cell of its matrix true."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.errors import Place
from sandbox.ir import TRUE, Property
from sandbox.prove import Bounded, ProveOptions, Report, Unknown, Vacuous, prove_paths
from sandbox.prove.html import Html, element
from sandbox.prove.ledger import Difference
from sandbox.prove.page import page
from sandbox.prove.report import PropertyReport

pytestmark = pytest.mark.usefixtures("forked")

HOSTILE = "<script>document.title='hurt'</script>\"'><img src=x onerror=alert(1)></style>&amp;"
QUOTED = json.dumps(HOSTILE)
SPEC = f"""\
sandbox: 1
name: pays
description: {QUOTED}
state: {{sent: {{type: int, initial: 0}}}}
tools:
  pay:
    args:
      amount: {{type: int, min: 1, max: 60}}
      to: {{type: string, max_size: 40}}
    rules:
      - {{id: over, deny: args.amount > 55, reason: {QUOTED}}}
      - {{id: any, allow: true, reason: {QUOTED}}}
    then: {{sent: state.sent + args.amount}}
  see:
    args: {{}}
    rules: [{{id: all, allow: true}}]
"""
PROPERTIES = f"""\
proves: pays.yaml
properties:
  - {{id: cap, always: state.sent <= 100, why: {QUOTED}}}
  - {{id: limit, never: args.amount > 55, tools: [pay]}}
  - id: evil
    possible: tool == 'pay' && args.to == '</code><b>x</b>' && decision == 'allow'
  - {{id: silly, possible: "tool == 'pay' && args.amount > 55 && decision == 'allow'"}}
"""
VOID = {"meta"}


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("page")
    (folder / "pays.yaml").write_text(SPEC)
    (folder / "proofs.yaml").write_text(PROPERTIES)
    return prove_paths([folder / "proofs.yaml"], ProveOptions(jobs=2))


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return page(report)


def test_it_is_well_formed_and_every_link_leads_somewhere_on_it(text: str) -> None:
    read = Reader(text)
    assert text.startswith('<!doctype html>\n<html lang="en">')
    ids = read.values("id")
    assert len(ids) == len(set(ids)) == 4
    assert set(read.values("href")) == {f"#{id_}" for id_ in ids}


def test_nothing_comes_from_elsewhere_and_nothing_can_run(text: str) -> None:
    read = Reader(text)
    assert not {tag for tag, _ in read.elements} & {"script", "link", "img", "iframe", "object", "form", "base"}
    names = {name for _, attrs in read.elements for name in attrs}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "style", "srcset", "action"}
    assert "url(" not in text.partition("</style>")[0]
    assert "@import" not in text


def test_the_policy_allows_the_one_style_and_nothing_else(text: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [attrs["content"] for _, attrs in Reader(text).elements if attrs.get("http-equiv")]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_what_an_author_or_a_model_wrote_is_text(text: str) -> None:
    read = Reader(text)
    whole = "".join(read.texts)
    assert whole.count(HOSTILE) >= 4
    assert "</code><b>x</b>" in whole
    assert "<b>x</b>" not in text
    assert "<script" not in text
    assert "<img" not in text


def test_characters_that_turn_the_writing_around_are_shown_as_such(report: Report) -> None:
    first = report.properties[0]
    told = replace(first, subject=replace(first.subject, why="a\u202eb\x1b[31mc\x00"))
    shown = page(replace(report, properties=(told,)))
    assert not set("\u202e\x1b\x00") & set(shown)


def test_every_property_is_there_with_its_verdict_and_its_reason(text: str, report: Report) -> None:
    whole = " ".join(Reader(text).texts)
    for each in report.properties:
        assert each.subject.id in whole
        assert each.subject.text in whole
    classes = [attrs["class"] for tag, attrs in Reader(text).elements if tag == "article"]
    assert classes == ["property refuted", "property proved", "property proved", "property refuted"]
    assert "2 of 4 properties are not proved" in whole


def test_a_sequence_is_told_call_by_call(text: str) -> None:
    calls = text.partition('<ol class="calls">')[2].partition("</ol>")[0]
    assert calls.count("<li>") == 2
    assert calls.count("allowed by any") == 2
    assert "<code>sent</code> 0 → <b>" in calls
    assert "✕" in calls


def rows(text: str) -> dict[str, list[str]]:
    """Of the matrix, each rule's cells."""
    found = {}
    for row in re.findall(r'<tr><th scope="row">(?:<code>)(.*?)</code>.*?</tr>', text):
        found.setdefault(row, [])
    for name in found:
        row = text.partition(f'<tr><th scope="row"><code>{name}</code>')[2].partition("</tr>")[0]
        cells = re.findall(r'<td class="cell">(.*?)</td>', row)
        found[name] = [re.search(r'class="(\w+)"', cell)[1] if cell else "none" for cell in cells]
    return found


def test_the_matrix_says_what_each_property_has_to_do_with_each_rule(text: str) -> None:
    assert rows(text) == {
        "over": ["ranges", "needs", "ranges", "ranges"],
        "any": ["broke", "ranges", "shows", "ranges"],
        "all": ["none", "none", "ranges", "ranges"],
    }


def test_a_rule_that_nothing_rests_on_is_named_where_all_is_proved(report: Report) -> None:
    proved = tuple(each for each in report.properties if each.subject.id in {"limit", "evil"})
    shown = page(replace(report, properties=proved))
    assert shown.count("nothing rests on it") == 1
    assert "nothing rests on it" in shown.partition("<code>all</code>")[2]
    assert "nothing rests on it" not in page(report)


def bare(*verdicts: object, differences: tuple[Difference, ...] = ()) -> Report:
    subject = Property("p", "always", TRUE, place=Place("f", 1, 1))
    each = tuple(PropertyReport("s", "f", subject, verdict, ("z3",), 0, 0) for verdict in verdicts)
    return Report(each, (), (("folder", "differs"),), differences)


def test_what_is_not_decided_and_a_ledger_that_differs_are_not_shown_as_fine() -> None:
    open_ = page(bare(Unknown("too late"), Bounded(3), Vacuous("it says nothing")))
    assert 'class="badge refuted">does not hold' in open_
    assert 'class="badge unknown">not decided' in page(bare(Unknown("too late")))
    assert "too late" in open_
    from sandbox.prove import Proved

    drift = Difference("k", "removed", "`k` is in the ledger, and no longer a property")
    shown = page(bare(Proved(), differences=(drift,)))
    assert 'class="badge unknown">the ledger differs' in shown
    assert "<code>k</code> is in the ledger, and no longer a property" in shown
    assert 'class="badge proved">holds' in page(bare(Proved()))


def test_long_values_are_cut_and_many_rules_shown_on_demand(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.prove.page_sequence.MAX_SHOWN", 5)
    monkeypatch.setattr("sandbox.prove.page_matrix.MANY", 2)
    shown = page(report)
    assert re.search(r"… <small class=\"quiet\">\d+ characters in all", shown)
    assert "<summary>all 3 rules</summary>" in shown
    Reader(shown)


def test_the_same_report_is_the_same_page(report: Report, text: str) -> None:
    assert page(report) == text


def test_only_what_the_code_says_is_markup() -> None:
    made = element("p", "<b>", [1, Html("<i></i>")], title='"><script>', aria_label="x", class_=None)
    assert made.text == '<p title="&quot;&gt;&lt;script&gt;" aria-label="x">&lt;b&gt;1<i></i></p>'


def test_the_command_writes_it(tmp_path: Path) -> None:
    (tmp_path / "pays.yaml").write_text(SPEC)
    only = "{id: one, tools: [pay], never: args.amount > 55}"
    (tmp_path / "proofs.yaml").write_text(f"proves: pays.yaml\nproperties: [{only}]\n")
    words = ["prove", str(tmp_path / "proofs.yaml"), "--html"]
    assert CliRunner().invoke(PROGRAM, [*words, str(tmp_path / "out.html")]).exit_code == 0
    Reader((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert CliRunner().invoke(PROGRAM, [*words, str(tmp_path / "no" / "out.html")]).exit_code == 2
