"""Changes judged by a spec's own rules, by both engines, before they are committed; what never may be stays out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from gatekit import HandClock, SpyRunner, digest_of, open_gate, records, spec_file

from sandbox.call import Change, Outcome, Permit
from sandbox.decide import Claim, Confirmation, EnginePair, Evaluator
from sandbox.execute.runner import ChangeJudge, Objection
from sandbox.execute.tree import Entry
from sandbox.execute.workspace import Changes
from sandbox.gate import Gate
from sandbox.ir import Contract, Tool
from sandbox.judging import MAX_JUDGED
from sandbox.stages import staged

SPEC = """\
sandbox: 1
name: notes
session: {who: {type: string}}
state: {open: {type: bool, initial: false}}
tools:
  write:
    args: {path: {type: path, under: /workspace}}
    rules: [{id: all, allow: true}]
    changes:
      - {id: named, commit: change.path == args.path && change.kind == 'added'}
      - {id: hooks, commit: change.path == '/workspace/.github/workflows/a.yml'}
      - {id: own, commit: "change.path.startsWith('/workspace/ann/') && session.who == 'ann'"}
      - {id: opened, commit: "change.path.startsWith('/workspace/open/') && state.open"}
      - {id: programs, refuse: change.mode >= 448, reason: no programs}
      - {id: large, refuse: change.size > 1000 && change.kind != 'deleted'}
    on_success: {open: true}
    run: {tool: tools.files:write, workspace: {source: ./space, mode: rw}}
"""
OTHER = """\
sandbox: 1
name: house
tools:
  write:
    args: {path: {type: path, under: /workspace}}
    rules: [{id: all, allow: true}]
    changes: [{id: text, commit: change.path.endsWith('.txt')}]
"""
SILENT = OTHER.replace("    changes: [{id: text, commit: change.path.endsWith('.txt')}]\n", "").replace(
    "house", "quiet"
)


def change(path: str, kind: str = "added", mode: int = 0o644, size: int = 10) -> Change:
    return Change(path, kind, "file", mode, size, "d" * 64)


class ChangingRunner(SpyRunner):
    """Its calls change what they are told to, and are judged as a workspace judges them."""

    def __init__(self, *changes: Change) -> None:
        super().__init__()
        self.changes = changes
        self.judges: list[ChangeJudge | None] = []

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        outcome = super().run(permit, contract, tool, now_ms)
        self.judges.append(judge)
        after = {each.path: Entry("file", each.mode, each.size, each.digest, (0, 0, 0, 0)) for each in self.changes}
        objection = Changes(tool.changes is not None, judge).objection(self.changes, after)
        if objection is None:
            return replace(outcome, changes=self.changes)
        return replace(outcome, status="error", reason_code=objection.reason_code, reason=objection.reason, result=None)


def write_call(path: str = "a.txt") -> dict[str, object]:
    return {"tool": "write", "args": {"path": path}}


def judged(folder: Path, *changes: Change, path: str = "a.txt", who: str = "bob", text: str = SPEC) -> Outcome:
    (folder / "space").mkdir(parents=True, exist_ok=True)
    with open_gate(folder, text=text, runner=ChangingRunner(*changes)) as gate:
        return gate.attempt(write_call(path), {"who": who}).outcome


@pytest.mark.parametrize(
    ("changes", "who", "reason"),
    [
        ([], "bob", ""),
        ([change("a.txt")], "bob", ""),
        ([change("a.txt", "modified")], "bob", "no rule commits `a.txt`"),
        ([change("b.txt")], "bob", "no rule commits `b.txt`"),
        ([change("a.txt"), change("b.txt")], "bob", "no rule commits `b.txt`"),
        ([change("ann/x")], "bob", "no rule commits `ann/x`"),
        ([change("ann/x"), change("a.txt")], "ann", ""),
        ([change("a.txt", mode=0o755)], "bob", "`a.txt` is refused by rule `programs`: no programs"),
        ([change("a.txt", size=1001)], "bob",
         "`a.txt` is refused by rule `large`: change.size > 1000 && change.kind != 'deleted'"),
        ([change(".github/workflows/a.yml")], "bob", ""),
        ([change(".github/workflows/b.yml")], "bob", "no rule commits `.github/workflows/b.yml`"),
        ([change("open/x")], "bob", "no rule commits `open/x`"),
    ],
)  # fmt: skip
def test_every_changed_path_is_judged_and_one_that_is_not_committed_refuses_all(
    tmp_path: Path, changes: Sequence[Change], who: str, reason: str
) -> None:
    outcome = judged(tmp_path, *changes, who=who)
    assert outcome.reason == reason
    assert (outcome.status, outcome.reason_code) == (("error", "changes.refused") if reason else ("ok", "ok"))
    assert outcome.changes == (() if reason else tuple(changes))
    body = records(tmp_path)[-1]["body"]
    assert (body["status"], body["reason"]) == (outcome.status, reason)
    assert [each["path"] for each in body["changes"]] == [each.path for each in outcome.changes]
    assert body.get("on_success") == (None if reason else "stored")


def test_rules_read_the_state_as_it_is_when_they_judge(tmp_path: Path) -> None:
    (tmp_path / "space").mkdir()
    runner = ChangingRunner(change("a.txt"))
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        runner.changes = (change("open/x"),)
        assert gate.attempt(write_call(), {"who": "bob"}).outcome.status == "error"
        runner.changes = (change("a.txt"),)
        assert gate.attempt(write_call(), {"who": "bob"}).outcome.status == "ok"
        runner.changes = (change("open/x"),)
        assert gate.attempt(write_call(), {"who": "bob"}).outcome.status == "ok"


KEEPING = """\
sandbox: 1
name: notes
session: {who: {type: string}, principal: {type: string}}
state:
  made: {type: set, items: {type: string, max_size: 30}, initial: [], scope: principal}
  writes: {type: map, key: {type: string, max_size: 30}, value: int, initial: 0}
tools:
  write:
    args: {path: {type: path, under: /workspace}}
    rules: [{id: all, allow: true}]
    changes:
      - {id: often, refuse: "state.writes[change.path] > 2"}
      - {id: first, commit: change.path == args.path && change.kind == 'added'}
      - {id: own, commit: change.path in state.made}
    then: {made: state.made.add(args.path), "writes[args.path]": "state.writes[args.path] + 1"}
    run: {tool: tools.files:write, workspace: {source: ./space, mode: rw}}
"""


@pytest.mark.parametrize("solver", [False, True])
def test_rules_ask_sets_and_maps_of_the_calls_own_principal(tmp_path: Path, solver: bool) -> None:
    (tmp_path / "space").mkdir()
    runner = ChangingRunner()

    def reason(who: str, path: str, *changes: Change) -> str:
        runner.changes = changes
        return gate.attempt(write_call(path), {"who": who, "principal": who}).outcome.reason

    with open_gate(tmp_path, text=KEEPING, runner=runner, solver=solver) as gate:
        assert reason("ann", "a.txt", change("a.txt")) == ""
        assert reason("ann", "b.txt", change("a.txt", "modified")) == ""
        assert reason("bob", "b.txt", change("a.txt", "modified")) == "no rule commits `a.txt`"
        assert reason("bob", "a.txt", change("a.txt", "modified")) == ""
        assert reason("bob", "a.txt", change("a.txt")).startswith("`a.txt` is refused by rule `often`")
        long = "x" * 30
        assert reason("bob", "c.txt", change(long)) == (
            f"`{long}` is refused: `/workspace/{long}` is outside of the declared type of `state.writes`"
        )


ALL = (
    SPEC[: SPEC.index("    changes:")]
    + '    changes: [{id: all, commit: "true"}]\n'
    + SPEC[SPEC.index("    on_success") :]
)


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "conftest.py", ".envrc", "x.pth", ".GIT/config"])
def test_a_rule_can_grant_files_that_the_host_acts_upon(tmp_path: Path, path: str) -> None:
    assert judged(tmp_path, change(path), text=ALL).status == "ok"
    without = ALL.replace('    changes: [{id: all, commit: "true"}]\n', "")
    refused = judged(tmp_path / "without", change(path), text=without)
    assert (refused.reason_code, refused.reason) == (
        "changes.refused",
        f"`{path}` is a file that tools on the host act upon",
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (change("a", mode=0o4755), "has set-id bits"),
        (change("a", mode=0o2755), "has set-id bits"),
        (change("a\nb"), "has a name with hidden, control or non-UTF-8 characters, or a backslash"),
        (change("a\\b"), "has a name with hidden"),
        (change("a\u202eb"), "has a name with hidden"),
        (change(os.fsdecode(b"\xff")), "has a name with hidden"),
        (change("x" * 256), "has a component of more than 255 bytes"),
        (change(".sandbox-commit"), "is a name that the sandbox keeps for itself"),
        (change("a/\U00030000"), "has a name that rules cannot see"),
        (change("/".join(["x" * 250] * 17)), "has a name that rules cannot see"),
    ],
)
def test_no_rule_grants_what_deceives_or_gains_rights(tmp_path: Path, changed: Change, words: str) -> None:
    outcome = judged(tmp_path, changed, text=ALL)
    assert outcome.reason_code == "changes.refused"
    assert words in outcome.reason
    assert outcome.reason.isprintable()


@pytest.mark.parametrize("kind", ["link", "special"])
def test_no_rule_grants_links_and_devices(kind: str) -> None:
    class Granting:
        grants_hand_over = True

        def objection(self, changes: Sequence[Change]) -> Objection | None:
            return None

    after = {"x": Entry(kind, 0o777, 0, "", (0, 0, 0, 0))}
    objection = Changes(declared=True, judge=Granting()).objection((change("x"),), after)
    assert objection is not None
    assert objection.reason_code == "changes.refused"


def test_rules_that_nobody_is_there_to_ask_commit_nothing() -> None:
    """A runner that does not hand the judge on commits no change, whatever it is."""
    after = {"x": Entry("file", 0o644, 0, "", (0, 0, 0, 0))}
    objection = Changes(declared=True, judge=None).objection((change("x"),), after)
    assert objection == Objection("changes.fault", "nobody was there to judge the changes by the rules of the spec")
    assert Changes(declared=True, judge=None).objection((), {}) is None


def test_a_tool_without_rules_about_changes_has_no_judge(tmp_path: Path) -> None:
    runner = ChangingRunner(change("b.txt"))
    (tmp_path / "space").mkdir()
    text = SPEC[: SPEC.index("    changes:")] + SPEC[SPEC.index("    on_success") :]
    with open_gate(tmp_path, text=text, runner=runner) as gate:
        assert gate.attempt(write_call(), {"who": "bob"}).outcome.status == "ok"
    assert runner.judges == [None]


def test_more_paths_than_can_be_judged_refuse_the_call(tmp_path: Path) -> None:
    outcome = judged(tmp_path, *(change(f"ann/{n}") for n in range(MAX_JUDGED + 1)), who="ann")
    assert (outcome.reason_code, outcome.reason) == (
        "changes.refused",
        "1,001 paths were changed, and 1,000 can be judged",
    )


# --- both engines ------------------------------------------------------------------------------------


def test_both_engines_judge_every_change(tmp_path: Path) -> None:
    (tmp_path / "space").mkdir()
    runner = ChangingRunner(change("a.txt"), change("ann/ü \U0001f600"))
    with open_gate(tmp_path, text=SPEC, runner=runner, solver=True) as gate:
        assert gate.attempt(write_call(), {"who": "ann"}).outcome.status == "ok"
        runner.changes = (change("a.txt", mode=0o777),)
        refused = gate.attempt(write_call(), {"who": "ann"}).outcome
        assert refused.reason == "`a.txt` is refused by rule `programs`: no programs"


class Judging:
    """A solver that says what it is told to of changes, and agrees to all else."""

    def __init__(self, answer: Confirmation | Exception) -> None:
        self._answer = answer

    def confirm(self, call: object, state: object, facts: object, claim: Claim) -> Confirmation:
        if not call.tool.endswith("@changes"):  # type: ignore[attr-defined]
            return Confirmation(claim.verdict)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def confirm_success(self, *_: object) -> Confirmation:
        return Confirmation("allow")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Confirmation("deny"), "the two engines disagree (fault.disagreement)"),
        (Confirmation("ask"), "the two engines disagree (fault.disagreement)"),
        (Confirmation("allow", "something else"), "something else (fault.disagreement)"),
        (Confirmation("fault", "late", "fault.solver_timeout"), "late (fault.solver_timeout)"),
        (ValueError("x"), "the solver failed: ValueError (fault.internal)"),
    ],
)
def test_engines_that_do_not_agree_commit_nothing(tmp_path: Path, answer: Confirmation | Exception, words: str) -> None:
    (tmp_path / "space").mkdir()
    with open_gate(tmp_path, text=SPEC, runner=ChangingRunner(change("a.txt"))) as gate:
        pair = EnginePair(Evaluator(staged(gate.contract)), Judging(answer))
        gate._passage._engines = {gate.contract.name: pair}
        outcome = gate.attempt(write_call(), {"who": "bob"}).outcome
    assert (outcome.status, outcome.reason_code) == ("error", "changes.fault")
    assert outcome.reason == f"`a.txt` could not be judged: {words}"


def test_a_state_that_cannot_be_read_commits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "space").mkdir()
    with open_gate(tmp_path, text=SPEC, runner=ChangingRunner(change("a.txt"))) as gate:

        def broken(_: object) -> object:
            raise OSError

        monkeypatch.setattr(gate._passage, "_moments", broken)
        outcome = gate.attempt(write_call(), {"who": "bob"}).outcome
    assert (outcome.reason_code, outcome.reason) == ("changes.fault", "the changes could not be judged: OSError")


# --- several specs -----------------------------------------------------------------------------------


def two_specs(folder: Path, other: str, *changes: Change) -> Outcome:
    (folder / "space").mkdir()
    runner = ChangingRunner(*changes)
    specs = [spec_file(folder, SPEC, "notes.yaml"), spec_file(folder, other, "other.yaml")]
    with Gate.open(specs, runner=runner, clock=HandClock()) as gate:
        return gate.attempt(write_call(), {"who": "ann"}).outcome


@pytest.mark.parametrize(
    ("other", "changed", "reason"),
    [
        (OTHER, change("a.txt"), ""),
        (OTHER, change("ann/x"), "`house`: no rule commits `ann/x`"),
        (OTHER, change("b.txt"), "`notes`: no rule commits `b.txt`"),
        (OTHER, change(".github/workflows/a.yml"), "`house`: no rule commits `.github/workflows/a.yml`"),
        (SILENT, change("ann/x"), ""),
        (SILENT, change(".github/workflows/a.yml"),
         "`.github/workflows/a.yml` is a file that tools on the host act upon"),
    ],
)  # fmt: skip
def test_every_spec_has_to_commit(tmp_path: Path, other: str, changed: Change, reason: str) -> None:
    assert two_specs(tmp_path, other, changed).reason == reason


def test_the_digest_of_a_spec_knows_its_rules_about_changes(tmp_path: Path) -> None:
    one = digest_of(spec_file(tmp_path / "1", SPEC))
    assert one != digest_of(spec_file(tmp_path / "2", SPEC.replace("no programs", "none")))
    assert one != digest_of(spec_file(tmp_path / "3", SPEC.replace("- {id: hooks", "- {id: hook")))
