# ruff: noqa: E501 - a table is read line by line
"""`same` of a `needs`: an earlier call counts only with equal values; each mistake about that beside what is meant."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
import z3

from sandbox.compile import load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.ir import TRUE, Contract, Expr, Or, Property, ScalarSort, State, Tool
from sandbox.prove import ProveOptions, induction, needing, obligations, prove_paths, unroll
from sandbox.prove.induction import Inductive, kept
from sandbox.prove.mentions import variables_in
from sandbox.prove.needing import remembering
from sandbox.prove.obligations import Ground
from sandbox.prove.regression import assert_mended
from sandbox.prove.replay import Differs, replay
from sandbox.prove.report import PropertyReport, report_to_json
from sandbox.prove.resting import resting_on
from sandbox.prove.sameness import commons
from sandbox.prove.scopes import FACTS, Apart
from sandbox.prove.solve import Desk
from sandbox.prove.spoken import read_invariant
from sandbox.prove.verdicts import AT_ONCE, Move, Moves, Proved, Refuted, Vacuous, replay_of
from sandbox.prove.verify import verify
from sandbox.testing import Trial

pytestmark = pytest.mark.usefixtures("in_this_process")

BANK = """\
sandbox: 1
name: bank
session: {principal: {type: string, max_size: 8}, id: {type: string, max_size: 8}}
types: {order: {type: record, fields: {to: {type: email}, note: {type: string, max_size: 9, optional: true}}}}
state:
  checked: {type: set, items: string, initial: []}
  counted: {type: map, key: string, value: int, initial: 0}
  seen: {type: bool, initial: false, scope: principal}
  all_seen: {type: bool, initial: false}
  level: {type: int, initial: 0}
tools:
  check:
    args: {invoice: {type: string, max_size: 20}, level: {type: int, min: 1, max: 5}, amount: {type: decimal, scale: 2, min: 0.01, max: 500}}
    rules: [{id: any, allow: args.level >= 3}]
    on_success:
      checked: state.checked.add(args.invoice)
      seen: "true"
      all_seen: "true"
      level: "state.level > args.level ? state.level : args.level"
  count:
    args: {invoice: {type: string, max_size: 12}}
    rules: [{id: checked, allow: args.invoice in state.checked}]
    then: {"counted[args.invoice]": "state.counted[args.invoice] + 1"}
  pay:
    args: {invoice: {type: string, max_size: 30}, amount: {type: decimal, scale: 2, min: 0.01, max: 500}, level: {type: int, min: 0, max: 9}}
    rules:
      - {id: unchecked, deny: "!(args.invoice in state.checked)"}
      - {id: rest, allow: true}
  look:
    rules: [{id: any, allow: true}]
"""
CHECK = "tool == 'check' && args.level >= 3"
INVOICE = f"{{before: \"{CHECK}\", after: tool == 'pay', same: [args.invoice]}}"
AMOUNT = INVOICE.replace("[args.invoice]", "[args.invoice, args.amount]")
PERSON = INVOICE.replace("args.invoice", "session.principal")
BOTH = INVOICE.replace("[args.invoice]", "[session.principal, args.invoice]")
SESSION = INVOICE.replace("args.invoice", "session.id")
COUNTED = INVOICE.replace("tool == 'pay'", "tool == 'count'")
LEVEL = INVOICE.replace("args.invoice", "args.level")
ASKS = '"!(args.invoice in state.checked)"'
SEEN = ASKS.replace("(args.invoice in state.checked)", "state.seen")
LOOK = "  look:\n    rules: [{id: any, allow: true}]\n"
NOTES = "    on_success:\n      checked"
AS_IT_IS = "name: bank"


def file_of(folder: Path, needs: str, spec: str = BANK) -> Path:
    (folder / "bank.yaml").write_text(spec)
    file = folder / "order.yaml"
    file.write_text(f"proves: bank.yaml\nproperties:\n  - {{id: first, needs: {needs}}}\n")
    return file


def only(file: Path) -> PropertyReport:
    (report,) = prove_paths([file]).properties
    return report


@dataclass(frozen=True)
class Slip:
    """A change of the spec; the tools of a shortest sequence that comes too early, none where there is none."""

    name: str
    needs: str
    before: str
    after: str
    calls: tuple[str, ...] = ()


SLIPS = (
    Slip("the very invoice", INVOICE, AS_IT_IS, AS_IT_IS),
    Slip("any invoice", INVOICE, ASKS, '"!state.all_seen"', ("check", "pay")),
    Slip("another key is noted", INVOICE, "checked: state.checked.add(args.invoice)", "checked: state.checked.add(session.id)", ("check", "pay")),
    Slip("noted when permitted", INVOICE, NOTES, "    then:\n      checked", ("check", "pay")),
    Slip("a lower check is noted", INVOICE, "allow: args.level >= 3", "allow: args.level >= 2", ("check", "pay")),
    Slip("a higher check is asked for", INVOICE, "allow: args.level >= 3", "allow: args.level >= 4"),
    Slip("one is checked from the start", INVOICE, "items: string, initial: []", "items: string, initial: [x]", ("pay",)),
    Slip("nobody asks for small amounts", INVOICE, ASKS, '"!(args.invoice in state.checked) && args.amount > 1.0"', ("pay",)),
    Slip("a person is asked instead", INVOICE, f"deny: {ASKS}", f"ask: {ASKS}", ("pay",)),
    Slip("another tool adds what it likes", INVOICE, LOOK, "  look:\n    args: {invoice: {type: string}}\n    rules: [{id: any, allow: true}]\n    on_success: {checked: state.checked.add(args.invoice)}\n", ("look", "pay")),
    Slip("another tool takes away", INVOICE, LOOK, "  look:\n    args: {invoice: {type: string}}\n    rules: [{id: any, allow: true}]\n    then: {checked: state.checked.remove(args.invoice)}\n"),
    Slip("a checked invoice of any amount", AMOUNT, AS_IT_IS, AS_IT_IS, ("check", "pay")),
    Slip("the same person", PERSON, ASKS, SEEN),
    Slip("anybody", PERSON, ASKS, '"!state.all_seen"', ("check", "pay")),
    Slip("whoever has the invoice", PERSON, AS_IT_IS, AS_IT_IS, ("check", "pay")),
    Slip("the invoices of each", BOTH, "items: string, initial: []", "items: string, initial: [], scope: principal"),
    Slip("the invoices of all", BOTH, AS_IT_IS, AS_IT_IS, ("check", "pay")),
    Slip("what each person has checked", SESSION, "items: string, initial: []", "items: string, initial: [], scope: principal", ("check", "pay")),
    Slip("by way of a map", INVOICE, ASKS, '"state.counted[args.invoice] < 1"'),
    Slip("by way of a map, off by one", INVOICE, ASKS, '"state.counted[args.invoice] < 0"', ("pay",)),
    Slip("a map that is filled for everybody", INVOICE, ASKS, "\"state.counted['x'] < 1\"", ("check", "count", "pay")),
    Slip("another call in between", COUNTED, AS_IT_IS, AS_IT_IS),
    Slip("another call in between, unasked", COUNTED, "allow: args.invoice in state.checked", "allow: size(args.invoice) > 2", ("count",)),
    Slip("the very level", LEVEL, ASKS, '"state.level != args.level || args.level == 0"'),
    Slip("no higher level than that", LEVEL, ASKS, '"state.level < args.level || args.level == 0"', ("check", "pay")),
)  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.name.replace(" ", "-") for slip in SLIPS])
def test_the_same_comes_first_or_calls_show_that_it_need_not(slip: Slip, tmp_path: Path) -> None:
    assert BANK.count(slip.before) == 1
    report = only(file_of(tmp_path, slip.needs, BANK.replace(slip.before, slip.after)))
    if not slip.calls:
        assert isinstance(report.verdict, Proved), report.verdict
        return
    assert isinstance(report.verdict, Refuted), report.verdict
    assert report.verdict.counterexample is not None
    assert tuple(each.tool for each in report.verdict.counterexample.moves.calls) == slip.calls


FIRST = {
    "n": "{type: int, min: 0, max: 3}",
    "d": "{type: decimal, scale: 2}",
    "e": "{type: enum, values: [red, blue]}",
    "b": "{type: bool}",
    "u": "{type: url}",
    "r": "{type: order}",
    "l": "{type: list, items: {type: order}, max_size: 2}",
    "p": "{type: path}",
    "t": "{type: timestamp}",
    "o": "{type: int, optional: true}",
}
THEN = {
    **FIRST,
    "n": "{type: int, min: 0, max: 9}",
    "l": "{type: list, items: {type: order}, max_size: 3}",
    "p": "{type: string}",
}


def every(name: str) -> str:
    """Two tools that have a value of one type, where whichever came first is enough."""
    return f"""\
sandbox: 1
name: values
session: {{user: {{type: enum, values: [ann, bob]}}}}
state: {{done: {{type: bool, initial: false}}}}
types: {{order: {{type: record, fields: {{to: {{type: email}}, note: {{type: string, optional: true}}}}}}}}
tools:
  first:
    args: {{{name}: {FIRST[name]}}}
    rules: [{{id: any, allow: true}}]
    on_success: {{done: "true"}}
  then:
    args: {{{name}: {THEN[name]}}}
    rules: [{{id: any, allow: state.done}}]
"""


VALUES = {
    "n": 1, "d": "1.5", "e": "red", "b": True, "u": "https://a.example/x?y", "p": "/a", "t": "2026-01-01T00:00:00Z", "o": 1,
    "r": {"to": "a@b.example", "note": "n"},
    "l": [{"to": "a@b.example"}, {"to": "c@b.example", "note": ""}],
}  # fmt: skip
OTHERS = {
    "n": [0, 9], "d": ["1.6", "-1.5"], "e": ["blue"], "b": [False], "u": ["https://a.example/x", "http://a.example/x?y", "https://a.example:8443/x?y", "https://b.example/x?y"],
    "p": ["/b", "a"], "t": ["2026-01-01T00:00:00.001Z"], "o": [0],
    "r": [{"to": "a@b.example"}, {"to": "a@b.example", "note": ""}, {"to": "b@b.example", "note": "n"}],
    "l": [[], [{"to": "a@b.example"}], [{"to": "c@b.example", "note": ""}, {"to": "a@b.example"}], [{"to": "a@b.example"}, {"to": "c@b.example"}]],
}  # fmt: skip
ALIKE = {"d": "1.50", "u": "https://A.example:443/x?y", "t": "2026-01-01T01:00:00+01:00"}


def replayed(folder: Path, path: str, one: object, other: object) -> str:
    """What becomes of a call that ended `ok`, and another one, where these are their values at the path."""
    name = path.removeprefix("args.").split(".")[0]
    (found,) = load_properties(
        file_of(
            folder,
            f"{{before: tool == 'first', after: tool == 'then', same: [{path}]}}",
            every(name).replace("state.done", "true"),
        )
    )
    (subject,) = found.properties
    now = 1_767_225_600_000

    def move(tool: str, value: object) -> Move:
        args = {} if value is None else {name: value}
        return Move(tool, args, now, {"user": "ann"}, ends=AT_ONCE)

    shown = replay(
        found.contract,
        EnginePair(Evaluator(found.contract), None),
        subject,
        Moves((move("first", one), move("then", other)), now),
    )
    return shown.reason if isinstance(shown, Differs) else shown.words[-2]


@pytest.mark.parametrize("name", sorted(VALUES))
def test_the_replay_compares_whole_values_of_every_type(name: str, tmp_path: Path) -> None:
    path, value = f"args.{name}", VALUES[name]
    come = "call 1 is one that the property needs, and it ended `ok`"
    assert replayed(tmp_path, path, value, value) == come
    assert replayed(tmp_path, path, value, ALIKE.get(name, value)) == come
    for other in OTHERS[name]:
        assert replayed(tmp_path, path, value, other) == f"call 1 is one that it needs, and has not the same `{path}`"


def test_what_is_not_there_is_equal_to_nothing(tmp_path: Path) -> None:
    for one, other in ((None, None), (1, None), (None, 1)):
        assert replayed(tmp_path, "args.o", one, other).endswith("has not the same `args.o`")
    bare = {"to": "a@b.example"}
    assert replayed(tmp_path, "args.r.note", bare, bare).endswith("has not the same `args.r.note`")
    assert (
        replayed(tmp_path, "args.r.to", bare, {**bare, "note": "n"})
        == "call 1 is one that the property needs, and it ended `ok`"
    )


@pytest.mark.parametrize(
    "path", [*(f"args.{name}" for name in sorted(VALUES)), "args.r.note", "args.u.host", "session.user"]
)
def test_the_prover_knows_each_type_of_value(path: str, tmp_path: Path) -> None:
    """Whichever came first is enough: refuted by another value, or none. Nothing is ever noted: proved."""
    spec = every("n" if path == "session.user" else path.split(".")[1])
    needs = f"{{before: tool == 'first', after: tool == 'then', same: [{path}]}}"
    report = only(file_of(tmp_path, needs, spec))
    assert isinstance(report.verdict, Refuted), report.verdict
    found = replay_of(report.verdict)
    assert found is not None
    assert found.words[-2] == f"call 1 is one that it needs, and has not the same `{path}`"
    report = only(file_of(tmp_path, needs, spec.replace('on_success: {done: "true"}', "then: {done: state.done}")))
    assert isinstance(report.verdict, Proved), report.verdict


def _own_alone(contract: Contract, goal: Expr) -> Apart:
    read = {each.scope for each in contract.variables if each.name in variables_in(goal)}
    return tuple(scope for scope in FACTS if scope in read)


def test_what_is_said_of_whose_state_it_is_holds_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted for all is not noted for each: whoever looks at the caller's own state alone takes it for kept."""
    ((loaded),) = load_properties(file_of(tmp_path, PERSON))
    watched, never = remembering(loaded.contract, loaded.properties[0])
    ground = Ground(watched, z3.Context(), commons=commons((never.condition,)))

    def is_kept(variable: str) -> bool:
        text = f"!state.{variable} || session.principal != same.session.principal || state.has_come"
        lemma = read_invariant(text, watched, ground.commons)
        return isinstance(kept(ground, Desk("z3", time.monotonic() + 60), (), lemma), Inductive)

    assert is_kept("seen")
    assert not is_kept("all_seen")
    with monkeypatch.context() as slipped:
        slipped.setattr(induction, "scopes_of", _own_alone)
        assert is_kept("all_seen")
    with monkeypatch.context() as slipped:
        slipped.setattr(obligations, "keys_seen", lambda _, own, __: own)
        assert is_kept("all_seen")


def test_what_stands_for_the_values_is_one_in_every_step(tmp_path: Path) -> None:
    """Two calls that end together: only the one with the same values counts, whichever is noted last."""
    spec = BANK.replace(ASKS, "\"!('x' in state.checked)\"")
    found = replay_of(only(file_of(tmp_path, INVOICE, spec)).verdict)
    assert found is not None
    assert [each.args.get("invoice") == "x" for each in found.moves.calls] == [True, False]


def test_it_is_told_recorded_verified_and_kept_as_a_test(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, f"{INVOICE}, tools: [pay]"), tmp_path / "certificate"
    report = prove_paths([file], ProveOptions(solver="both", emit_dir=folder, update=True))
    (found,) = report.properties
    assert isinstance(found.verdict, Proved)
    text = "!(same.args.invoice in state.checked) || state.has_come"
    assert found.verdict.invariant == (text,)
    assert found.subject.text == f"{CHECK} before tool == 'pay' with the same args.invoice"
    assert text in [source.name for source in found.rests_on.sources]
    assert found.rests_on.untold == 0
    (covered,) = report.coverage
    assert covered.tools.proved == ("check", "pay")
    assert covered.arguments.proved == ("check.invoice", "check.level", "pay.invoice")
    assert covered.rules.left_out == ("count.checked", "look.any")
    assert prove_paths([file], ProveOptions(locked=True)).exit_code == 0
    (checked,) = verify(folder, [tmp_path / "bank.yaml"]).properties
    assert (checked.status, checked.reasons) == ("verified", ())
    (loaded,) = load_properties(file)
    assert resting_on(loaded.contract, loaded.properties[0], found.verdict.invariant) is None
    assert resting_on(loaded.contract, loaded.properties[0], ("state.has_come || !state.seen",)) is None
    assert len(resting_on(loaded.contract, loaded.properties[0], ("state.level >= 0",)) or ()) == 1
    file_of(tmp_path, f"{AMOUNT}, tools: [pay]")
    assert prove_paths([file], ProveOptions(locked=True)).exit_code == 1
    (told,) = report_to_json(prove_paths([file]))["properties"]
    sequence = json.loads(json.dumps(told["counterexample"]))
    with pytest.raises(AssertionError, match="`first` of `bank` is still violated"):
        assert_mended(file, spec="bank", property_id="first", sequence=sequence)
    file_of(tmp_path, f"{INVOICE}, tools: [pay]")
    assert_mended(file, spec="bank", property_id="first", sequence=sequence)


def test_values_that_no_call_has_in_common_are_vacuous_or_nothing_lets_them_through(tmp_path: Path) -> None:
    report = only(file_of(tmp_path, INVOICE.replace(CHECK, f"{CHECK} && tool == 'pay'")))
    assert report.verdict == Vacuous("its `before` contradicts itself, whatever the call")


def test_names_of_the_spec_are_never_taken_for_the_values(tmp_path: Path) -> None:
    named = (
        BANK.replace("checked", "has_come")
        .replace("session: {", "session: {same: {type: string}, ")
        .replace("invoice", "same")
    )
    needs = INVOICE.replace("invoice", "same")
    assert isinstance(only(file_of(tmp_path, needs, named)).verdict, Proved)
    opened = named.replace(
        ASKS.replace("checked", "has_come").replace("invoice", "same"), '"!(session.same in state.has_come)"'
    )
    assert opened != named
    assert isinstance(only(file_of(tmp_path, needs, opened)).verdict, Refuted)


def test_a_trial_notices_what_comes_too_early(tmp_path: Path) -> None:
    sets = load_properties(file_of(tmp_path, INVOICE, BANK.replace(ASKS, '"!state.all_seen"')))

    def call(tool: str, invoice: str) -> bytes:
        return json.dumps({"tool": tool, "args": {"invoice": invoice, "level": 3, "amount": "1"}}).encode()

    with Trial(tmp_path / "bank.yaml", sets, session={"principal": "ann", "id": "1"}) as trial:
        assert trial.emit(call("pay", "x")).verdict == "deny"
        assert trial.emit(call("check", "x")).verdict == "allow"
        assert trial.emit(call("pay", "x")).verdict == "allow"
        with pytest.raises(AssertionError, match="the property `first` is violated"):
            trial.emit(call("pay", "y"))


OPTIONAL = (
    BANK.replace(
        "    args: {invoice: {type: string, max_size: 20}, level",
        "    args: {invoice: {type: string, max_size: 20, optional: true}, level",
    )
    .replace(
        "    rules: [{id: any, allow: args.level >= 3}]\n    on_success:\n      checked: state.checked.add(args.invoice)\n",
        "    rules: [{id: any, allow: args.level >= 3 && has(args.invoice)}]\n    on_success:\n",
    )
    .replace(
        "    args: {invoice: {type: string, max_size: 30}, amount",
        "    args: {invoice: {type: string, pattern: x, optional: true}, amount",
    )
    .replace(ASKS, '"!state.all_seen"')
    .replace("type: string, max_size: 20, optional", "type: string, pattern: x, optional")
)


def _any_value(*_: object) -> Expr:
    return TRUE


def _first_alone(contract: Contract, subject: Property, tool: Tool, come: State) -> Expr:
    return REAL_UNREADY(contract, replace(subject, same=subject.same[:1]), tool, come)


def _present_alone(contract: Contract, subject: Property, tool: Tool, come: State) -> Expr:
    found = REAL_UNREADY(contract, subject, tool, come)
    return found.operands[1] if isinstance(found, Or) else found


def _another(name: str, sort: ScalarSort, ctx: z3.Context) -> z3.ExprRef:
    return REAL_COMMON(f"{name}{next(NUMBERS)}", sort, ctx)


REAL_UNREADY, REAL_COMMON, NUMBERS = needing._unready, obligations.common, itertools.count()
IN_THE_PROVER = (
    (needing, "equal", _any_value, INVOICE, BANK.replace(ASKS, '"!state.all_seen"'), Refuted),
    (needing, "_unready", _first_alone, AMOUNT, BANK, Refuted),
    (needing, "_unready", _present_alone, INVOICE, OPTIONAL, Refuted),
    (obligations, "common", _another, INVOICE, BANK, Proved),
)


@pytest.mark.parametrize(
    ("module", "name", "slip", "needs", "spec", "verdict"),
    IN_THE_PROVER,
    ids=[slip.__name__.strip("_") for _, _, slip, *_ in IN_THE_PROVER],
)
def test_a_slip_in_what_is_compared_is_noticed(
    module: ModuleType,
    name: str,
    slip: object,
    needs: str,
    spec: str,
    verdict: type,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = file_of(tmp_path, needs, spec)
    assert isinstance(only(file).verdict, verdict)
    monkeypatch.setattr(unroll, "MAX_CALLS", 3)
    monkeypatch.setattr(module, name, slip)
    assert not isinstance(only(file).verdict, verdict)


PARTS = "scheme: {type: string}, host: {type: string}, port: {type: int}, path: {type: string}, query: {type: string}, is_ip: {type: bool}, is_private: {type: bool}"
PINNED = "args.u.scheme == 'a' && args.u.host == 'a' && args.u.port == 1 && args.u.path == 'a' && args.u.query == 'a'"


def test_a_record_with_the_parts_of_a_url_is_none(tmp_path: Path) -> None:
    """A URL's host decides whether it is private; that of a record which is spelt like one decides nothing."""
    spec = every("u").replace("types: {", f"types: {{alike: {{type: record, fields: {{{PARTS}}}}}, ", 1)
    spec = spec.replace("{type: url}", "{type: alike}").replace("allow: true", f'allow: "{PINNED}"')
    spec = spec.replace("allow: state.done", f'allow: "state.done && {PINNED}"')
    needs = "{before: tool == 'first', after: tool == 'then', same: [args.u]}"
    report = only(file_of(tmp_path, needs, spec))
    assert isinstance(report.verdict, Refuted), report.verdict
    found = replay_of(report.verdict)
    assert found is not None
    assert found.words[-2] == "call 1 is one that it needs, and has not the same `args.u`"
