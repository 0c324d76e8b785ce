"""Unit: what docs/language.md shows is what happens, and its tables are the code's own.

Blocks, by the words behind their fence:

- `yaml`: a spec that loads; if it begins with `proves:`, a property file about a spec shown before. Behind a property's
  `id`, `# verdict` or `# verdict, note` is what the prover finds.
- `yaml refused`, then `text`: the file `spec.yaml` or `properties.yaml`, and the whole of the message.
- `yaml warned`, then `text`: a spec that loads, and all that lint says of it.
- `cel`: a line is `EXPRESSION  => true`, `=> false` or `=> refused: MESSAGE`, about the call in the `json call` block.
- `values`: a line is `TYPE  JSON  => CANONICAL` or `=> REASON_CODE`.
- `changes NAME`: a line is `CHANGE  => commit` or `=> REASON`, about the call in brackets below.
- `results NAME`: a line is `STATUS  RESULT  => RULING`, of a call of `customer`.
- `origins NAME`: what the user said, what `read_mail` returned, then lines `ARGUMENTS  => VERDICT RULE; LABELS`.
- `calls NAME`: a line is `+TIME  CALL  => VERDICT REASON_CODE`; calls of one block follow one another.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from gatekit import SpyRunner

from sandbox import ir
from sandbox.aftermath import ResultJudge
from sandbox.call import Change, Decision, Engines, Outcome, Rejected
from sandbox.compile import lint, load_contract, load_policy, load_properties
from sandbox.engines import close_engines, engine_pairs
from sandbox.errors import AuthorError, SpecError
from sandbox.execute.broker.refused import Why
from sandbox.gate import Gate
from sandbox.judging import ChangesJudge
from sandbox.lang import later
from sandbox.machine import effective, initial_state
from sandbox.parse import parse_call
from sandbox.prove import ProveOptions, prove_paths
from sandbox.prove.verdicts import invariant_of, name_of, reason_of
from sandbox.rehearsal import Rehearsal

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sandbox"
LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, where a block of calls begins
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind the fence, its text, and the line it begins in."""

    words: str
    body: str
    line: int


def blocks(words: str) -> list[Block]:
    return [block for block in all_blocks() if block.words == words]


@cache
def all_blocks() -> tuple[Block, ...]:
    found = re.finditer(r"^```(?P<words>[^\n]*)\n(?P<body>.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL)
    return tuple(Block(m["words"], m["body"], LANGUAGE.count("\n", 0, m.start()) + 1) for m in found)


def by_line(given: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", given, ids=[f"line {block.line}" for block in given])


def is_property_file(block: Block) -> bool:
    return block.body.startswith("proves:")


def answers(words: str) -> list[tuple[str, str]]:
    """Each line of these blocks, left and right of its `=>`."""
    lines = [line for block in blocks(words) for line in block.body.splitlines() if line.strip()]
    return [(left.rstrip(), right) for left, _, right in (line.rpartition(" => ") for line in lines)]


SPECS = [block for block in blocks("yaml") if not is_property_file(block)]
PROPERTY_FILES = [block for block in blocks("yaml") if is_property_file(block)]


def name_in(block: Block) -> str:
    found = re.search(r"^name: (\S+)$", block.body, re.MULTILINE)
    return found[1] if found else ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every spec that is shown, under its name; the current one."""
    for block in SPECS:
        (tmp_path / f"{name_in(block)}.yaml").write_text(block.body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- specs and property files ------------------------------------------------------------------------


@by_line(SPECS)
def test_a_spec_that_is_shown_loads(block: Block, folder: Path) -> None:
    assert load_policy(folder / f"{name_in(block)}.yaml").first.name == name_in(block)


def test_no_two_specs_that_are_shown_have_one_name() -> None:
    names = [name_in(block) for block in SPECS]
    assert sorted(set(names)) == sorted(names)


@by_line(blocks("yaml refused"))
def test_what_is_shown_as_refused_is_refused_with_the_message_that_is_shown(block: Block, folder: Path) -> None:
    file = folder / ("properties.yaml" if is_property_file(block) else "spec.yaml")
    file.write_text(block.body, encoding="utf-8")
    with pytest.raises(AuthorError) as refused:
        (load_properties if is_property_file(block) else load_policy)(file.name)
    message = all_blocks()[all_blocks().index(block) + 1]
    assert message.words == "text"
    assert f"{refused.value}\n" == message.body


@by_line(blocks("yaml warned"))
def test_what_is_shown_as_pointed_at_is_all_that_lint_says(block: Block, folder: Path) -> None:
    file = folder / f"{name_in(block)}.yaml"
    file.write_text(block.body, encoding="utf-8")
    message = all_blocks()[all_blocks().index(block) + 1]
    assert message.words == "text"
    assert [str(remark) for remark in lint(load_contract(file.name))] == message.body.splitlines()


@by_line(PROPERTY_FILES)
def test_properties_that_are_shown_have_the_verdicts_that_are_shown(block: Block, folder: Path) -> None:
    file = folder / "shown.yaml"
    file.write_text(block.body, encoding="utf-8")
    shown = re.findall(r"- id: (\S+) +# (\w+)(?:, (\w+))?$", block.body, re.MULTILINE)
    report = prove_paths([file], ProveOptions(timeout_s=120))
    found = [(each.subject.id, name_of(each.verdict), note_of(each.verdict)) for each in report.properties]
    assert found == shown
    by = re.findall(r"^ +# by (.*)$", block.body, re.MULTILINE)
    assert [text for each in report.properties for text in invariant_of(each.verdict)] == by


def note_of(verdict: object) -> str:
    return reason_of(verdict) if name_of(verdict) == "proved" else ""


def test_the_defaults_of_run_are_those_that_are_written_out(folder: Path) -> None:
    contract = load_contract(folder / "defaults.yaml")
    written, plain = contract.tool("written_out"), contract.tool("plain")
    assert written.run == plain.run
    assert written.rules[0].approvers == plain.rules[0].approvers
    assert written.rules[0].expires_ms == plain.rules[0].expires_ms
    assert [argument.type for argument in written.arguments] == [argument.type for argument in plain.arguments]


# --- calls and values --------------------------------------------------------------------------------


CALLS = [block for block in all_blocks() if block.words.startswith("calls ")]


@by_line(CALLS)
def test_calls_that_are_shown_are_judged_as_shown(block: Block, folder: Path) -> None:
    policy = load_policy(folder / f"{block.words.removeprefix('calls ')}.yaml")
    engines = engine_pairs(policy, always_ask=True)
    rehearsal = Rehearsal(policy, engines, START_MS)
    for line in block.body.splitlines():
        when, call, expected = re.fullmatch(r"\+(\d+)h +(\{.*\}) +=> (.*)", line).groups()
        decision = rehearsal.advance(call.encode(), START_MS + int(when) * HOUR_MS)
        assert f"{decision.verdict} {decision.reason_code}" == expected, line
    close_engines(engines)


CHANGES = [block for block in all_blocks() if block.words.startswith("changes ")]


@by_line(CHANGES)
def test_changes_that_are_shown_are_judged_as_shown(block: Block, folder: Path) -> None:
    (raw,) = re.findall(r"^\(of the call `(\{.*\})`\)$", LANGUAGE, re.MULTILINE)
    policy = load_policy(folder / f"{block.words.removeprefix('changes ')}.yaml")
    engines = engine_pairs(policy)
    call = parse_call(raw, policy)
    moments = {each.name: (effective(each, initial_state(each, 0)), {"now": 0}) for each in policy.contracts}
    judge = ChangesJudge(policy.contracts, engines, call, lambda: moments)
    for line in block.body.splitlines():
        shown, _, expected = line.rpartition(" => ")
        change = json.loads(shown)
        path = change["path"].removeprefix("/workspace/")
        objection = judge.objection([Change(path, change["kind"], "file", change["mode"], change["size"])])
        assert ("commit" if objection is None else objection.reason) == expected, line
    close_engines(engines)


RESULTS = [block for block in all_blocks() if block.words.startswith("results ")]


@by_line(RESULTS)
def test_results_that_are_shown_are_judged_as_shown(block: Block, folder: Path) -> None:
    policy = load_policy(folder / f"{block.words.removeprefix('results ')}.yaml")
    engines = engine_pairs(policy)
    call = parse_call('{"tool": "customer", "args": {"id": 1}}', policy)
    moments = {each.name: (effective(each, initial_state(each, 0)), {"now": 0}) for each in policy.contracts}
    judge = ResultJudge(policy.contracts, engines, call, lambda: moments)
    for line in block.body.splitlines():
        status, result, expected = re.fullmatch(r"(\w+) +(.*?) +=> (.*)", line).groups()
        ruling = judge.ruling(Outcome(status, "ok", "", json.loads(result)))
        assert f"{ruling.kind} {ruling.reason_code}".strip() == expected, line
    close_engines(engines)


ORIGINS = [block for block in all_blocks() if block.words.startswith("origins ")]


@by_line(ORIGINS)
def test_origins_that_are_shown_are_known_and_judged_as_shown(block: Block, folder: Path) -> None:
    lines = block.body.splitlines()
    said, returned = (json.loads(line.partition("  ")[2]) for line in lines[:2])
    shown = SpyRunner(lambda _: Outcome("ok", "ok", "", result=returned))
    file, session = folder / f"{block.words.removeprefix('origins ')}.yaml", {"id": "s"}
    with Gate.open(file, runner=shown, clock=lambda: START_MS) as gate:
        gate.learn(said, "user", session)
        gate.call({"tool": "read_mail", "args": {}}, session)
        for line in lines[2:]:
            args, _, expected = line.rpartition(" => ")
            decision = gate.decide({"tool": "send_mail", "args": json.loads(args)}, session)
            told = decision.call.told_origins()
            labels = "; ".join(f"{name}: {', '.join(told[name])}" for name in ("to", "copies"))
            assert f"{decision.verdict} {decision.rule}; {labels}" == expected, line


@pytest.mark.parametrize(("given", "expected"), answers("values"))
def test_a_value_that_is_shown_is_read_as_shown(given: str, expected: str, tmp_path: Path) -> None:
    type_, value = re.split(r"  +", given)
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"sandbox: 1\nname: x\ntools: {{t: {{args: {{v: {type_}}}, rules: []}}}}\n", encoding="utf-8")
    call = parse_call(f'{{"tool": "t", "args": {{"v": {value}}}}}', load_contract(spec))
    canonical = call.reason_code if isinstance(call, Rejected) else call.canonical
    assert canonical == (expected if isinstance(call, Rejected) else f'{{"args":{{"v":{expected}}},"tool":"t"}}')


# --- expressions -------------------------------------------------------------------------------------


def shown_expressions() -> list[tuple[str, str]]:
    return [(left, right) for left, right in answers("cel") if not right.startswith("refused: ")]


def desk_with(rules: list[str], folder: Path) -> Path:
    """The file of the spec `desk` with a rule `allow` for each expression, in block scalars, which quote nothing."""
    written = "".join(f"\n      - id: r{at}\n        allow: |-\n          {rule}" for at, rule in enumerate(rules))
    (body,) = (block.body for block in SPECS if name_in(block) == "desk")
    file = folder / "spec.yaml"
    file.write_text(body.replace("rules: []", f"rules:{written}"), encoding="utf-8")
    return file


def judged(rules: list[str], folder: Path) -> Decision:
    """The decision of both engines about the call that is shown, under these rules."""
    policy = load_policy(desk_with(rules, folder))
    engines = engine_pairs(policy, always_ask=True)
    decision = Rehearsal(policy, engines, START_MS).judge(blocks("json call")[0].body, START_MS)
    close_engines(engines)
    return decision


def test_every_expression_that_is_shown_means_what_is_shown(tmp_path: Path) -> None:
    shown = shown_expressions()
    decision = judged([expression for expression, _ in shown], tmp_path)
    assert decision.engines == Engines("allow", "allow"), decision
    fired = [(expression, str(f"r{at}" in decision.fired).lower()) for at, (expression, _) in enumerate(shown)]
    assert fired == shown


def test_the_solver_says_the_same_of_every_one_of_them(tmp_path: Path) -> None:
    signed = [f"({expression})" if value == "true" else f"!({expression})" for expression, value in shown_expressions()]
    assert judged([" && ".join(signed)], tmp_path).engines == Engines("allow", "allow")


@pytest.mark.parametrize(
    ("expression", "message"),
    [(left, right.removeprefix("refused: ")) for left, right in answers("cel") if right.startswith("refused: ")],
)
def test_an_expression_that_is_shown_as_refused_is_refused(expression: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load_contract(desk_with([expression], tmp_path))
    assert [problem.message for problem in refused.value.problems] == [message]


# --- tables ------------------------------------------------------------------------------------------


def rows_below(heading: str) -> list[list[str]]:
    """The cells of each row of the tables in a section, without heads."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", LANGUAGE, re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    heads = {at - 1 for at, line in enumerate(lines) if set(line) <= set("|- ")}
    kept = (line for at, line in enumerate(lines) if at not in heads and not set(line) <= set("|- "))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in kept]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CODES = re.compile(
    r"(?:after|approval|audit|ceiling|changes|environment|fault|ledger|limit|mcp|origin|parse|permit|proofs|property|run"
    r"|sandbox_failure|secret|spec|state|tool)\.[a-z_0-9]+"
)
BARE_CODES = re.compile(
    r"(?:Rejected\(|denied\(\w+, |UsageError\(message, |reason_code(?:: str)? = |reason_code=.* else "
    r'|Outcome\(\s*"ok", |_outcome\(seen, "ok", |print_error\(.*, )"([a-z_]+)"'
)
NO_CODES = {"ledger.json", "state.db"}


def codes_in_source() -> set[str]:
    """String literals that are reason codes, and what the two formatted ones become."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py"))]
    words = {word for text in texts for word in literals(text) if not word.endswith(".py")}
    found = {word for word in words if CODES.fullmatch(word)} - NO_CODES
    found |= {word for text in texts for word in BARE_CODES.findall(text)}
    assert any('f"rule.{claim.verdict}"' in text for text in texts)
    assert any('f"limit.{what}"' in text for text in texts)
    return found | {f"rule.{verdict}" for verdict in ir.VERDICTS} | {"limit.output", "limit.result"}


def literals(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_table_of_reason_codes_has_exactly_those_that_the_code_can_give() -> None:
    rows = [code for row in rows_below("Reason codes") for code in quoted(row[0])]
    assert sorted(rows) == sorted(set(rows))
    assert set(rows) == codes_in_source()


def test_the_network_page_has_every_code_of_the_broker() -> None:
    text = (ROOT / "docs" / "network.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(network\.\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert [(code, int(status)) for code, status in rows] == [(why.code, why.status) for why in Why]


LIMITED = ("lang", "spec", "compile", "regex", "strict_json", "canonical", "machine")


def constants_in(part: str) -> Iterator[str]:
    """Every named limit of a module or package, as `module.NAME`."""
    files = sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]
    for file in files:
        module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for name in re.findall(r"^((?:MAX|MIN)_\w+): Final", file.read_text(encoding="utf-8"), re.MULTILINE):
            yield f"{module}.{name}"


def test_the_table_of_limits_has_every_limit_of_the_language() -> None:
    rows = {name for row in rows_below("Limits") for name in quoted(row[2])}
    assert {name for part in LIMITED for name in constants_in(part)} <= rows


UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


@pytest.mark.parametrize("row", rows_below("Limits"), ids=lambda row: row[2])
def test_a_limit_in_the_table_is_the_constant(row: list[str]) -> None:
    number, unit = re.fullmatch(r"(-?[\d,.]+)(?: (\w+))?", row[1]).groups()
    for name in quoted(row[2]):
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(f"sandbox.{module}"), constant)
        assert float(value) == float(number.replace(",", "")) * UNITS.get(unit, 1), name


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("keys of `server`", later.SERVER_KEYS),
    ],
)
def test_what_is_not_supported_is_listed(where: str, names: frozenset[str]) -> None:
    (row,) = (row for row in rows_below("Not supported in this version") if row[0] == where)
    assert sorted(quoted(row[1])) == sorted(names)


# --- the other documents -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["language.md", "threat_model.md", "evidence.md", "design.md", "python.md", "network.md", "isolation.md"]
)
def test_files_that_a_document_names_exist(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:sandbox|tests|docs|proofs|specs|tools|benchmarks|scripts)/[\w./*-]+)(?:::\w+)?`", text)
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [path for path in named if not list(ROOT.glob(path))] == []
    assert [path for path in linked if not (ROOT / "docs" / path).exists()] == []


@pytest.mark.parametrize("name", ["threat_model.md", "evidence.md"])
def test_tests_that_a_document_names_exist(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_threat_model_has_every_class_of_bypass_in_order() -> None:
    text = (ROOT / "docs" / "threat_model.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (B\d+) \|", text, re.MULTILINE) == [f"B{number}" for number in range(1, 18)]
