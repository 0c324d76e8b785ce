# ruff: noqa: E501 - a table is read line by line
"""Two versions of a spec: every slip that lets more through is shown by calls, and what is the same is proved to be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.compile import load_contract
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.diff import Diff, Options, diff
from sandbox.prove.diff_words import diff_to_json, markdown, words

pytestmark = pytest.mark.usefixtures("forked", "in_this_process")

OLD = """\
sandbox: 1
name: payments
define: {cap: 300.00}
session: {clerk: {type: enum, values: [junior, senior]}}
state:
  sent: {type: decimal, scale: 2, initial: 0}
  calls: {type: int, initial: 0}
  known: {type: set, items: {type: string}, initial: []}
tools:
  pay:
    args:
      to: {type: string, pattern: "[a-z]{1,8}"}
      amount: {type: decimal, scale: 2, min: 0.01, max: 100}
      kind: {type: enum, values: [gift, bill]}
      urgent: {type: bool, default: false}
    rules:
      - {id: over, deny: state.sent + args.amount > cap}
      - {id: stranger, ask: "!(args.to in state.known)", approvers: 2}
      - {id: large, ask: args.amount > 50.00}
      - {id: rest, allow: args.kind == 'bill' && !args.urgent}
    then: {sent: state.sent + args.amount, calls: state.calls + 1}
  learn:
    args: {to: {type: string, pattern: "[a-z]{1,8}"}}
    rules: [{id: senior, allow: session.clerk == 'senior' && state.calls < 5}]
    then: {known: state.known.add(args.to)}
  read:
    args: {path: {type: path, under: /data}}
    rules: [{id: inside, allow: args.path.startsWith('/data/')}]
"""


@dataclass(frozen=True)
class Slip:
    """A change of the text, and per tool what is newly so; what is not named is the same, by proof."""

    name: str
    before: str
    after: str
    pay: str = ""
    learn: str = ""
    read: str = ""
    note: str = ""
    reached: bool = True


SLIPS = (
    Slip("a higher cap", "cap: 300.00", "cap: 300.01", pay="allowed asked"),
    Slip("a lower cap", "cap: 300.00", "cap: 299.99", pay="denied"),
    Slip("a cap that is checked too early", "state.sent + args.amount > cap", "state.sent > cap", pay="allowed asked"),
    Slip("what is sent is not counted", "sent: state.sent + args.amount, ", "", pay="allowed asked", note="does to the state"),
    Slip("what is sent is counted twice", "state.sent + args.amount, ", "state.sent + args.amount + args.amount, ", pay="denied"),
    Slip("calls are not counted", ", calls: state.calls + 1", "", learn="allowed", pay="", note="does to the state"),
    Slip("an ask became an allow", "ask: args.amount > 50.00", "allow: args.amount > 50.00", pay="allowed"),
    Slip("an ask that asks nobody", "ask: args.amount > 50.00", "ask: args.amount > 500.00", pay="allowed denied"),
    Slip("a deny left out", "      - {id: over, deny: state.sent + args.amount > cap}\n", "", pay="allowed asked"),
    Slip("a negation lost", 'ask: "!(args.to in state.known)"', 'ask: "args.to in state.known"', pay="allowed asked denied"),
    Slip("rules in another order", *(
        '      - {id: stranger, ask: "!(args.to in state.known)", approvers: 2}\n      - {id: large, ask: args.amount > 50.00}\n',
        '      - {id: large, ask: args.amount > 50.00}\n      - {id: stranger, ask: "!(args.to in state.known)", approvers: 2}\n',
    ), note="the `ask` rules of `pay` stand otherwise"),
    Slip("fewer people", "approvers: 2", "approvers: 1", note="asks for 1 within 900 s, and asked for 2 within 900 s"),
    Slip("another default", "default: false", "default: true", pay="denied"),
    Slip("no default", "{type: bool, default: false}", "{type: bool}", pay="denied"),
    Slip("a default that was none", "kind: {type: enum, values: [gift, bill]}", "kind: {type: enum, values: [gift, bill], default: bill}", pay="allowed asked"),
    Slip("a wider bound", "max: 100}", "max: 100.01}", pay="asked"),
    Slip("a narrower bound", "min: 0.01", "min: 1", pay="denied"),
    Slip("a wider pattern", 'to: {type: string, pattern: "[a-z]{1,8}"}\n      amount', 'to: {type: string, pattern: "[a-z.]{1,8}"}\n      amount', pay="allowed asked", reached=False),
    Slip("one enum value more", "values: [gift, bill]", "values: [gift, bill, loan]", pay="asked"),
    Slip("enum values in another order", "values: [gift, bill]", "values: [bill, gift]"),
    Slip("an enum value less", "values: [gift, bill]", "values: [bill]", pay="denied"),
    Slip("an argument more", "urgent: {type: bool, default: false}", "urgent: {type: bool, default: false}\n      memo: {type: text, optional: true}", pay="allowed asked"),
    Slip("an argument that must be there", "urgent: {type: bool, default: false}", "urgent: {type: bool, default: false}\n      memo: {type: text}", pay="allowed asked denied"),
    Slip("an argument of another type", "path: {type: path, under: /data}", "path: {type: string}", read="? allowed"),
    Slip("an argument of another type, whose calls write", 'args: {to: {type: string, pattern: "[a-z]{1,8}"}}', "args: {to: {type: path, under: /x}}", pay="?", learn="? allowed"),
    Slip("another folder for relative paths", "under: /data", "under: /", read="?"),
    Slip("a prefix without its slash", "startsWith('/data/')", "startsWith('/data')", read="allowed"),
    Slip("another who may learn", "session.clerk == 'senior'", "session.clerk == 'junior'", learn="allowed denied"),
    Slip("a value of a fact more", "values: [junior, senior]", "values: [junior, senior, boss]", learn="?", pay="?"),
    Slip("another initial", "calls: {type: int, initial: 0}", "calls: {type: int, initial: 4}", learn="denied", note="declared otherwise"),
    Slip("constants with other names", "define: {cap: 300.00}", "define: {cap: 300.00, more: 1}"),
    Slip("a reason in other words", "{id: over, deny:", "{id: over, reason: too much, deny:"),
)  # fmt: skip


def compared(folder: Path, new: str, old: str = OLD) -> Diff:
    (folder / "old.yaml").write_text(old)
    (folder / "new.yaml").write_text(new)
    return diff(load_contract(folder / "old.yaml"), load_contract(folder / "new.yaml"), Options(timeout_s=60))


def found(result: Diff) -> dict[str, str]:
    """Per tool, what is newly so; `?` stands for what is not decided."""
    told = {}
    for tool in result.tools:
        unknown = ["?"] if any(answer.reason for answer in tool.answers) else []
        told[tool.tool] = " ".join([*unknown, *(a.newly for a in tool.answers if a.witness is not None)])
    return told


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.name.replace(" ", "-") for slip in SLIPS])
def test_a_slip_is_shown_and_nothing_else(slip: Slip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not slip.reached:
        monkeypatch.setattr("sandbox.prove.unroll.MAX_CALLS", 2)
    assert OLD.count(slip.before) == 1
    result = compared(tmp_path, OLD.replace(slip.before, slip.after))
    assert found(result) == {"pay": slip.pay, "learn": slip.learn, "read": slip.read}
    assert any(slip.note in note for note in result.notes) if slip.note else True
    every = [answer.witness for tool in result.tools for answer in tool.answers if answer.witness is not None]
    assert all(witness.moves.start is None for witness in every) is slip.reached
    expected = 1 if "allowed" in f"{slip.pay} {slip.learn} {slip.read}" else 3 if result.undecided else 0
    assert result.exit_code == expected


def test_the_same_spec_is_the_same_without_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crew, "carry_out", None)
    result = compared(tmp_path, OLD)
    assert [tool.change for tool in result.tools] == ["same"] * 3
    assert list(words(result)) == [
        "3 tools: newly allowed in 0, newly asked in 0, newly denied in 0",
        "pay: the same",
        "learn: the same",
        "read: the same",
    ]
    assert result.exit_code == 0


LOOK = """\
sandbox: 1
name: look
{}tools:
  look:
    args: {{x: {{type: string}}}}
    {}rules: [{{id: all, allow: true}}]
"""
FACT = "session: {who: {type: string}}\n"
LABELLED = "returns: {text: {origin: web}}\n    "


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ((FACT, ""), ("", ""), "`session.who` is not demanded any more: calls without it were denied, and are not now"),
        (("", ""), (FACT, ""), "`session.who` is demanded now: a host that does not supply it is denied everything"),
        ((FACT, ""), (FACT.replace("string", "int"), ""), "`session.who` is of another type: what it may be is compared as the new version says"),
        (("", ""), ("", LABELLED), "`look` returns other fields, or leaves other labels: origins are compared as the same ones"),
    ],
)  # fmt: skip
def test_what_no_rule_says_is_told(tmp_path: Path, old: tuple[str, str], new: tuple[str, str], note: str) -> None:
    assert compared(tmp_path, LOOK.format(*new), LOOK.format(*old)).notes == (note,)


def test_an_origin_that_is_not_asked_for_any_more_is_shown(tmp_path: Path) -> None:
    asking = LOOK.format("", "").replace("allow: true", "allow: \"'user' in origin(args.x)\"")
    result = compared(tmp_path, LOOK.format("", ""), asking)
    assert found(result) == {"look": "allowed"}
    (witness,) = [a.witness for a in result.tools[0].answers if a.witness is not None]
    assert "user" not in witness.moves.calls[-1].origins["x"]
    assert compared(tmp_path, asking, asking).tools[0].change == "same"


ADDED = """\
  send:
    rules: [{id: all, ask: true}]
    run: {argv: [mail]}
"""


def test_tools_come_and_go(tmp_path: Path) -> None:
    added = compared(tmp_path, OLD + ADDED)
    assert found(added)["send"] == "asked"
    assert {tool.tool: tool.change for tool in added.tools}["send"] == "added"
    assert "`send` is new: read what its `run` grants" in added.notes
    removed = compared(tmp_path, OLD, OLD + ADDED)
    assert found(removed)["send"] == "denied"
    assert (removed.exit_code, added.exit_code) == (0, 0)


FAR = """\
sandbox: 1
name: far
state: {n: {type: int, initial: 0}}
tools:
  step:
    args: {by: {type: int, min: 1, max: 2}}
    rules: [{id: room, allow: state.n + args.by <= 1000}]
    then: {n: state.n + args.by}
"""


def test_what_only_a_far_state_shows_is_shown_there_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.prove.unroll.MAX_CALLS", 3)
    result = compared(tmp_path, FAR.replace("<= 1000", "<= 1001"), FAR)
    assert found(result) == {"step": "allowed"}
    assert result.exit_code == 1
    told = "\n".join(words(result))
    assert "newly allowed, in a state that is not known to be reached:" in told
    assert "in a state that is not known to be reached: n = 1000" in told or "n = 999" in told
    (tool,) = diff_to_json(result)["tools"]
    assert tool["newly_allowed"]["reached"] is False


def test_a_state_that_is_proved_unreachable_shows_nothing(tmp_path: Path) -> None:
    bounded = FAR.replace("<= 1000", "<= 10") + "  look:\n    rules: [{id: high, allow: state.n > 20}]\n"
    lower = bounded.replace("state.n > 20", "state.n > 15")
    assert found(compared(tmp_path, lower, bounded)) == {"step": "", "look": ""}


def test_a_far_state_of_sets_maps_and_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.prove.unroll.MAX_CALLS", 1)
    old = """\
sandbox: 1
name: far
state:
  seen: {type: set, items: string, initial: []}
  given: {type: map, key: string, value: int, initial: 0}
  sent: {type: int, initial: 0, window: 24h}
  open: {type: bool, initial: false}
tools:
  go:
    args: {who: {type: string, max_size: 8}}
    rules:
      - {id: enough, allow: "args.who in state.seen && state.given[args.who] > 3 && state.sent >= 7 && state.open"}
    then: {seen: state.seen.add(args.who), "given[args.who]": "state.given[args.who] + 1", sent: state.sent + 1}
  open:
    rules: [{id: always, allow: true}]
    then: {open: "true"}
  see:
    args: {who: {type: string, max_size: 8}}
    rules: [{id: always, allow: true}]
    then: {seen: state.seen.add(args.who), "given[args.who]": "state.given[args.who] + 1", sent: state.sent + 1}
"""
    result = compared(tmp_path, old.replace("> 3", "> 2"), old)
    assert found(result) == {"go": "allowed", "open": "", "see": ""}
    (witness,) = [answer.witness for tool in result.tools for answer in tool.answers if answer.witness is not None]
    assert witness.moves.start is not None
    assert witness.state["sent"] >= 7
    assert witness.state["open"] is True


# --- how it is told ----------------------------------------------------------------------------------


def run(folder: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(PROGRAM, ["diff", str(folder / "old.yaml"), str(folder / "new.yaml"), *options])
    return done.exit_code, done.stdout


def test_the_command_prints_words_a_comment_or_a_document(tmp_path: Path) -> None:
    compared(tmp_path, OLD.replace("cap: 300.00", "cap: 400.00"))
    code, told = run(tmp_path)
    assert code == 1
    assert "pay: changed; newly allowed: yes, newly asked: yes, newly denied: no" in told
    assert "`payments (old)` says: denied by rule `over`" in told
    code, comment = run(tmp_path, "--format", "markdown")
    assert code == 1
    assert "| `pay` | changed | **yes** | **yes** | no |" in comment
    assert comment.count("<details>") == comment.count("</details>") == comment.count("```text") == 2
    code, document = run(tmp_path, "--json")
    parsed = json.loads(document)
    assert (code, parsed["exit_code"], parsed["schema_version"]) == (1, 1, 1)
    shown = parsed["tools"][0]["newly_allowed"]
    assert (shown["status"], shown["reached"]) == ("shown", True)
    assert [each["spec"] for each in shown["witness"]["beside"]] == ["payments (old)"]
    assert parsed["tools"][1] == {
        "tool": "learn",
        "change": "same",
        **{
            f"newly_{kind}": {"status": "none", "reason": "", "reached": None, "witness": None}
            for kind in ("allowed", "asked", "denied")
        },
    }


def test_nothing_in_a_spec_breaks_out_of_the_comment(tmp_path: Path) -> None:
    hostile = OLD.replace(
        "allow: args.kind == 'bill' && !args.urgent",
        "allow: \"args.kind == 'bill' || args.to == '```</details><script>'\"",
    )
    comment = markdown(compared(tmp_path, hostile))
    lines = comment.splitlines()
    fences = [line for line in lines if line.startswith("````")]
    assert len(fences) % 2 == 0
    assert fences
    outside, inside = [], False
    for line in lines:
        if line.startswith("````"):
            inside = not inside
        elif not inside:
            outside.append(line)
    assert not any("<script>" in line for line in outside)


def test_a_child_that_gave_up_leaves_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.prove.findings import GaveUp, Holds, Unreachable

    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(GaveUp("timeout"), 0, 0))
    result = compared(tmp_path, OLD.replace("cap: 300.00", "cap: 300.01"))
    assert found(result)["pay"] == "?"
    assert result.exit_code == 3
    assert any("timeout" in line for line in words(result))
    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(Unreachable(), 0, 0))
    assert compared(tmp_path, OLD.replace("cap: 300.00", "cap: 300.01")).exit_code == 3
    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(Holds(), 0, 0))
    assert compared(tmp_path, OLD.replace("cap: 300.00", "cap: 300.01")).exit_code == 0


KEPT = """\
sandbox: 1
name: kept
state:
  spent: {type: map, key: {type: string, pattern: "[a-z]+"}, value: int, initial: 0}
  known: {type: set, items: {type: string, pattern: "[a-z]+"}, initial: []}
tools:
  pay:
    args: {to: {type: string, pattern: "[a-z0-9]{1,8}"}, urgent: {type: bool}}
    rules:
      - {id: few, allow: "state.spent[args.to] < 5"}
      - {id: stranger, deny: "args.urgent && !(args.to in state.known)"}
  meet:
    args: {to: {type: string, pattern: "[a-z]+", max_size: 8}, all: {type: list, items: {type: string, pattern: "[a-z]+", max_size: 8}, max_size: 2}}
    rules: [{id: all, allow: "args.all.all(x, x in state.known || state.spent[x] == 0)"}]
    then: {known: state.known.add(args.to)}
"""
WIDER = KEPT.replace('key: {type: string, pattern: "[a-z]+"}', "key: {type: string}")


@pytest.mark.parametrize(
    ("old", "new", "pay", "meet"),
    [
        (KEPT, WIDER, "?", ""),  # keys that were refused: newly allowed
        (WIDER, KEPT, "?", ""),  # newly denied
        (KEPT, KEPT.replace('items: {type: string, pattern: "[a-z]+"}', "items: {type: string}"), "?", "?"),
        (KEPT, KEPT.replace("args.urgent && !(args.to in state.known)", "!(args.to in state.known) && args.urgent"), "?", ""),
        (KEPT, KEPT.replace('allow: "state.spent[args.to] < 5"', 'ask: "state.spent[args.to] < 5"'), "?", ""),
        (KEPT, KEPT.replace("{id: few,", "{id: some,"), "", ""),
        (KEPT.replace("[a-z0-9]{1,8}", "[a-z]+"), WIDER.replace("[a-z0-9]{1,8}", "[a-z]+"), "", ""),
    ],
)  # fmt: skip
def test_what_is_denied_for_its_key_is_never_called_the_same(
    old: str, new: str, pay: str, meet: str, tmp_path: Path
) -> None:
    """Such a call is denied whatever the rules say, and which calls those are depends on what a rule looks at first."""
    assert found(compared(tmp_path, new, old)) == {"pay": pay, "meet": meet}


ROLES = """\
sandbox: 1
name: roles
session: {role: {type: enum, values: [clerk, boss]}}
state: {last: {type: enum, values: [clerk, boss], initial: clerk}}
tools:
  pay:
    args: {by: {type: enum, values: [clerk, boss]}}
    rules:
      - {id: clerks, allow: "session.role == 'clerk' && args.by == 'clerk'"}
    then: {last: session.role}
  look:
    rules: [{id: one, allow: session.role == 'boss' && state.last == 'boss'}]
"""
MORE_ROLES = ROLES.replace("by: {type: enum, values: [", "by: {type: enum, values: [robot, ")
BOSS_TOO = "      - {id: boss, allow: \"session.role == 'boss' && args.by == 'clerk'\"}\n    then"


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (MORE_ROLES, {"pay": "", "look": ""}),
        (MORE_ROLES.replace("    then", BOSS_TOO), {"pay": "allowed", "look": ""}),
        (MORE_ROLES.replace("session.role == 'boss' &&", "session.role != 'boss' &&"), {"pay": "", "look": ""}),
        (MORE_ROLES.replace("&& state.last == 'boss'", ""), {"pay": "", "look": "allowed"}),
    ],
)
def test_an_enum_that_gets_more_values_as_an_argument_is_the_same_as_a_fact_of_the_session(
    new: str, told: dict[str, str], tmp_path: Path
) -> None:
    assert found(compared(tmp_path, new, ROLES)) == told


TO = "sandbox: 1\nname: to\ntools:\n  pay:\n    args: {to: {type: string, default: ann}}\n    rules: [{id: own, allow: \"'user' in origin(args.to)\"}]\n"


def test_two_defaults_come_from_two_places(tmp_path: Path) -> None:
    other = TO.replace("ann", "bob")
    assert found(compared(tmp_path, other, TO)) == {"pay": "?"}
    assert found(compared(tmp_path, TO, TO)) == {"pay": ""}
    never_asked = "'user' in origin(args.to)", "args.to != 'x'"
    assert found(compared(tmp_path, other.replace(*never_asked), TO.replace(*never_asked))) == {"pay": ""}


ROOM = """\
sandbox: 1
name: room
state:
  known: {type: set, items: {type: string}, initial: [], max_size: 1}
  spent: {type: map, key: {type: string}, value: int, initial: 0}
tools:
  meet:
    args: {to: {type: string, max_size: 8}}
    rules: [{id: all, allow: true}]
    then: {known: state.known.add(args.to)}
  pay:
    args: {to: {type: string, max_size: 8}, by: {type: string, max_size: 8}}
    rules: [{id: all, allow: true}]
    then: {"spent[args.to]": "state.spent[args.to] + 1", "spent[args.by]": "1"}
"""
NO_SET = "".join(line for line in ROOM.splitlines(keepends=True) if "known" not in line)


@pytest.mark.parametrize(
    ("old", "new", "meet", "pay"),
    [
        (ROOM, ROOM.replace("max_size: 1}", "max_size: 100}"), "?", ""),  # a second one was denied, as `state_full`
        (ROOM, NO_SET, "?", ""),
        (NO_SET, ROOM, "?", ""),  # newly denied
        (ROOM, ROOM.replace(', "spent[args.by]": "1"', ""), "", "?"),  # the same name twice was `state.key_twice`
        (ROOM, ROOM.replace("{id: all, allow: true}", "{id: every, allow: true}"), "", ""),
        (ROOM, ROOM.replace("args: {to: {type: string, max_size: 8}}\n", "args: {to: {type: string, max_size: 8}}\n    description: it\n"), "", ""),
    ],
)  # fmt: skip
def test_what_is_denied_because_it_cannot_be_stored_is_never_called_the_same(
    old: str, new: str, meet: str, pay: str, tmp_path: Path
) -> None:
    result = compared(tmp_path, new, old)
    assert found(result) == {"meet": meet, "pay": pay}
    assert result.exit_code == (3 if meet or pay else 0)


def test_a_set_of_fewer_names_than_it_has_room_for_is_never_full(tmp_path: Path) -> None:
    names = "      known: {type: set, items: {type: enum, values: [a, b]}, initial: [], max_size: 2}\n"
    old = ROOM.replace("  known: {type: set, items: {type: string}, initial: [], max_size: 1}\n", names[4:])
    old = old.replace(
        "meet:\n    args: {to: {type: string, max_size: 8}}", "meet:\n    args: {to: {type: enum, values: [a, b]}}"
    )
    new = "".join(line for line in old.splitlines(keepends=True) if "known" not in line)
    assert found(compared(tmp_path, new, old)) == {"meet": "", "pay": ""}
