"""`changes` in a spec: every refusal word for word, what is compiled, and what lint remarks."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import lint, load_contract
from sandbox.compile.cost import MAX_COST, SMALLER
from sandbox.errors import SpecError
from sandbox.stages import CHANGE, staged, stages_of

RUN = "    run: {tool: tools.files:write, workspace: {source: ./space, mode: rw}}\n"
HEAD = (
    "define: {src: /workspace/src/}\nsession: {who: {type: string}}\nstate: {open: {type: bool, initial: false}}\n"
    "tools:\n  t:\n    args: {path: {type: path, under: /workspace}, n: {type: int}}\n    rules: []\n"
)


def with_changes(rules: str, run: str = RUN) -> str:
    return spec(f"{HEAD}{run}    changes: {rules}\n")


def one(rule: str) -> str:
    return spec(f"{HEAD}{RUN}    changes:\n      - {rule}\n")


EXACTLY_ONE = "a rule of `changes` has exactly one of `commit`, `refuse`; split it or add one"
HANDED = "which tools on the host act upon; add a `refuse` if that is not meant"


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ('{id: a, commit: "true", refuse: "true"}', 9, EXACTLY_ONE),
        ("{id: a}", 9, EXACTLY_ONE),
        ('{id: a, allow: "true"}', 17, "unknown key `allow`; known: `commit`, `id`, `reason`, `refuse`"),
        ('{commit: "true"}', 9, "`id` is missing here; add it"),
        ("{id: a, commit: change.size}", 25, "expected bool, found int `change.size`; compare it with something"),
        ("{id: a, commit: change}", 25,
         "expected bool, found record `change`; write a field of it, such as `change.path`"),
        ("{id: a, commit: change.owner == 1}", 32,
         "record `change` has no field `owner`; known: `kind`, `mode`, `path`, `size`"),
        ("{id: a, commit: \"change.kind == 'created'\"}", 41,
         "`'created'` is not a value of `change.kind`; known: `added`, `deleted`, `modified`"),
        ("{id: a, commit: change.path == 1}", 40, "expected string, found int `1`"),
        ("{id: a, commit: result == 1}", 25, "`result` has no meaning here; it belongs to the rules of `after`"),
        ("{id: a, commit: changes.path == ''}", 25, "unknown name `changes`; did you mean `change`?"),
        ("{id: a, commit: decision == 'allow'}", 25,
         "`decision` has no meaning here; it belongs to properties about a call"),
        ("{id: a, commit: \"['x'].exists(change, true)\"}", 26,
         "expected a list argument, found list of constants `['x']`"),
    ],
)  # fmt: skip
def test_a_rule_about_changes_is_refused(tmp_path: Path, rule: str, column: int, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_contract(write(tmp_path, one(rule)))
    assert [(each.place.line, each.place.column, each.message) for each in caught.value.problems] == [
        (12, column, message)
    ]


def refused(folder: Path, text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecError) as caught:
        load_contract(write(folder, text))
    return [(each.place.line, each.place.column, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(
    "run",
    [
        "    run: {tool: tools.files:write}\n",
        "    run: {tool: tools.files:write, workspace: {source: ./space, mode: ro}}\n",
        '    run: {host: "a session"}\n',
    ],
)
def test_changes_need_a_workspace_that_can_change(tmp_path: Path, run: str) -> None:
    message = (
        "`changes` judges what a call leaves in its workspace, and this tool has none with `mode: rw`; take it out, or "
        "add one"
    )
    assert refused(tmp_path, with_changes("[]", run)) == [(11, 5, message)]


def test_an_id_stands_once(tmp_path: Path) -> None:
    rules = '[{id: a, commit: "true"}, {id: a, refuse: "true"}]'
    message = "the id `a` stands here already; ids are unique within `changes`"
    assert refused(tmp_path, with_changes(rules)) == [(11, 45, message)]


def test_change_has_no_meaning_elsewhere(tmp_path: Path) -> None:
    text = spec("tools:\n  t:\n    rules: [{id: a, allow: change.size == 1}]\n    then: {}\n")
    message = "`change` has no meaning here; it belongs to the rules of `changes`"
    assert refused(tmp_path, text) == [(5, 28, message)]


@pytest.mark.parametrize("text", ["define: {change: 1}\n", "types: {change: {type: int}}\n"])
def test_no_name_of_the_authors_takes_its_place(tmp_path: Path, text: str) -> None:
    ((line, _, message),) = refused(tmp_path, spec(text))
    assert (line, message) == (3, "`change` means something already; use another name")


def test_no_variable_of_a_quantifier_takes_its_place(tmp_path: Path) -> None:
    text = spec(
        "tools:\n  t:\n    args: {xs: {type: list, items: int}}\n"
        '    rules: [{id: a, allow: "args.xs.exists(change, change == 1)"}]\n'
    )
    assert refused(tmp_path, text) == [(6, 44, "`change` means something already; use another name")]


def test_what_changes_cost_is_bounded(tmp_path: Path) -> None:
    text = spec(
        "tools:\n  t:\n    args: {xs: {type: list, items: {type: string, max_size: 4KiB}, max_size: 90}}\n"
        f"    rules: []\n{RUN}    changes:\n"
        "      - {id: big, commit: \"args.xs.exists(x, x.contains('a') || x.contains('b'))\"}\n"
    )
    ((line, column, message),) = refused(tmp_path, text)
    assert (line, column) == (9, 9)
    assert message.endswith(f"of which rule `big` takes 524,350, and {MAX_COST:,} are allowed; {SMALLER}")


def test_rules_may_read_the_call_the_state_the_session_and_the_time(tmp_path: Path) -> None:
    rules = (
        "[{id: a, commit: \"change.path == args.path && state.open && session.who == 'ann' && tool == 't'\"},"
        ' {id: b, refuse: "now.getHours() > 20 || change.mode > 420 || change.path.startsWith(src)", reason: late}]'
    )
    (tool,) = load_contract(write(tmp_path, with_changes(rules))).tools
    assert [(rule.id, rule.kind, rule.reason) for rule in tool.changes or ()] == [
        ("a", "allow", ""),
        ("b", "deny", "late"),
    ]


def test_no_key_is_another_thing_than_no_rules(tmp_path: Path) -> None:
    assert load_contract(write(tmp_path, with_changes("[]"))).tools[0].changes == ()
    assert load_contract(write(tmp_path, spec(f"{HEAD}{RUN}"))).tools[0].changes is None


def test_each_judgement_is_a_tool_that_no_call_can_name(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, one('{id: a, commit: "true"}')))
    (stage,) = stages_of(contract.tools[0])
    assert (stage.name, stage.arguments[-1]) == ("t@changes", CHANGE)
    assert [tool.name for tool in staged(contract).tools] == ["t", "t@changes"]
    assert [tool.name for tool in contract.tools] == ["t"]


# --- lint --------------------------------------------------------------------------------------------


def remarks(folder: Path, rules: str) -> list[str]:
    text = with_changes(rules).replace("rules: []", "rules: [{id: all, allow: args.n == 1}]")
    found = [each.message for each in lint(load_contract(write(folder, text)))]
    return [message for message in found if "`open`" not in message]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[]", ["no rule of `t` commits a change, so that every change refuses its call"]),
        (
            '[{id: a, commit: "true"}]',
            [
                f"`changes` of `t` commits `/workspace/.git/config`, {HANDED}",
                "rule `a` is always true",
            ],
        ),
        (
            "[{id: a, commit: \"change.path.startsWith('/workspace/src/')\"}]",
            [
                f"`changes` of `t` commits `/workspace/src/.git/config`, {HANDED}",
            ],
        ),
        (
            "[{id: a, commit: \"change.path.startsWith('/workspace/src')\"}]",
            [
                f"`changes` of `t` commits `/workspace/src/.git/config`, {HANDED}",
                "the prefix `/workspace/src` in rule `a` has no slash at its end and begins `/workspace/src-other` too",
            ],
        ),
        (
            "[{id: a, commit: \"change.path.startsWith('src/')\"}]",
            ["every path of a change begins with `/workspace/`, and `src/` does not; see rule `a`"],
        ),
        (
            "[{id: a, commit: \"change.path == 'notes.txt'\"}]",
            ["every path of a change begins with `/workspace/`, and `notes.txt` does not; see rule `a`"],
        ),
        ("[{id: a, commit: \"change.path.endsWith('.txt')\"}]", []),
        ("[{id: a, commit: change.path == args.path}]", []),
    ],
)  # fmt: skip
def test_what_lint_remarks(tmp_path: Path, rules: str, expected: list[str]) -> None:
    assert sorted(remarks(tmp_path, rules)) == sorted(expected)
