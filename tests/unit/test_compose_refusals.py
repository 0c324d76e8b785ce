"""Unit: specs that do not fit into one gate, each refused in its exact words at its exact place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compile import lint_ceilings, load_policy
from sandbox.compile.cost import MAX_COST, SMALLER
from sandbox.compile.policy import MAX_SPECS
from sandbox.errors import SpecError, UsageError

ONE = """\
sandbox: 1
name: one
session: {role: {type: string}}
state: {n: {type: int, initial: 0}}
tools:
  t:
    args: {a: {type: string, pattern: "[a-z]+"}, b: {type: int}}
    rules: [{id: r, allow: true}]
    then: {n: state.n + 1}
    run: {argv: [/bin/true]}
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def other(*changes: tuple[str, str]) -> str:
    """A second spec: the first under another name, without what it runs, with some lines changed."""
    text = ONE.replace("name: one", "name: two").replace("    run: {argv: [/bin/true]}\n", "")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def refused(*names: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_policy([f"{name}.yaml" for name in names])
    return [f"{problem.place}: {problem.message}" for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SAME = "a tool has the same arguments in every spec"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("name: two", "name: one"),
         "two.yaml:2:1: `one` is the name at one.yaml:2:7 too; rename one, for each keeps its own state"),
        (("{type: string}}\nstate", "{type: int}}\nstate"),
         "two.yaml:3:11: `role` is declared otherwise at one.yaml:3:11; a fact has one type"),
        (("[a-z]+", "[a-z]*"), f"two.yaml:7:12: `a` is declared otherwise at one.yaml:7:12; {SAME}"),
        (("b: {type: int}", "b: {type: int, max: 9}"),
         f"two.yaml:7:50: `b` is declared otherwise at one.yaml:7:50; {SAME}"),
        (("b: {type: int}", "b: {type: int, optional: true}"),
         f"two.yaml:7:50: `b` is declared otherwise at one.yaml:7:50; {SAME}"),
        (("b: {type: int}", "b: {type: int, default: 1}"),
         f"two.yaml:7:50: `b` is declared otherwise at one.yaml:7:50; {SAME}"),
        ((", b: {type: int}", ""), f"two.yaml:6:3: the argument `b` at one.yaml:7:50 is missing here; {SAME}"),
        (("b: {type: int}", "b: {type: int}, c: {type: bool}"),
         f"two.yaml:7:66: the tool at one.yaml:6:3 has no argument `c`; {SAME}"),
        (("    then", "    run: {argv: [/bin/false]}\n    then"),
         "two.yaml:9:5: the `run` at one.yaml:10:5 is another one; let one spec say what runs"),
    ],
)  # fmt: skip
def test_specs_that_do_not_fit_are_refused(change: tuple[str, str], problem: str, tmp_path: Path) -> None:
    write(tmp_path, one=ONE, two=other(change))
    assert refused("one", "two") == [problem]


def test_specs_that_fit_make_one_policy(tmp_path: Path) -> None:
    write(tmp_path, one=ONE, two=other())
    policy = load_policy(["one.yaml", "two.yaml"])
    assert [contract.name for contract in policy.contracts] == ["one", "two"]


def test_arguments_may_stand_in_another_order(tmp_path: Path) -> None:
    swapped = other(
        ('a: {type: string, pattern: "[a-z]+"}, b: {type: int}', 'b: {type: int}, a: {type: string, pattern: "[a-z]+"}')
    )
    write(tmp_path, one=ONE, two=swapped)
    policy = load_policy(["one.yaml", "two.yaml"])
    assert [argument.name for argument in policy.tools[0].arguments] == ["a", "b"]


def test_every_problem_of_two_specs_is_found_at_once(tmp_path: Path) -> None:
    write(tmp_path, one=ONE, two=other(("[a-z]+", ".+"), ("b: {type: int}", "b: {type: bool}")))
    assert [line.split(": ")[0] for line in refused("one", "two")] == ["two.yaml:7:12", "two.yaml:7:46"]


def test_an_equal_run_that_means_other_files_is_refused(tmp_path: Path) -> None:
    runs = ONE.replace("{argv: [/bin/true]}", "{tool: 'm:f'}")
    (tmp_path / "sub").mkdir()
    write(tmp_path, one=runs, near=runs.replace("name: one", "name: near"))
    write(tmp_path / "sub", two=runs.replace("name: one", "name: two"))
    load_policy(["one.yaml", "near.yaml"])
    (problem,) = refused("one", "sub/two")
    assert problem == (
        "sub/two.yaml:10:5: the `run` at one.yaml:10:5 means other files, for it lies in another folder; let one spec "
        "have it"
    )


def test_a_workspace_may_not_hold_what_decides_in_another_spec(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    held = ONE.replace("{argv: [/bin/true]}", "{argv: [/bin/true], workspace: {source: ../work, mode: rw}}")
    (tmp_path / "specs").mkdir()
    write(tmp_path / "specs", one=held)
    write(tmp_path / "work", two=other())
    (problem,) = refused("specs/one", "work/two")
    assert problem == (
        "specs/one.yaml:10:50: a workspace may not be, contain or lie in the folder of the state; choose another "
        "folder (of `two`)"
    )


def test_decisions_of_all_specs_together_are_bounded(tmp_path: Path) -> None:
    rules = "".join(f"      - {{id: r{at}, deny: 'args.a.contains(args.a)'}}\n" for at in range(2))
    text = (
        f"sandbox: 1\nname: one\ntools:\n  t:\n    args: {{a: {{type: string, max_size: 4000}}}}\n    rules:\n{rules}"
    )
    write(tmp_path, one=text, two=text.replace("name: one", "name: two"))
    load_policy("one.yaml")
    (problem,) = refused("one", "two")
    assert problem.startswith("one.yaml:4:3: a decision about `t` could take ")
    assert problem.endswith(f"in the 2 specs that describe it, and {MAX_COST:,} are allowed; {SMALLER}")


# --- what a gate is opened on ------------------------------------------------------------------------


def test_a_gate_needs_a_spec() -> None:
    with pytest.raises(UsageError, match=r"^no spec is given; name at least one$"):
        load_policy([])


def test_a_spec_is_given_once_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, one=ONE)
    (tmp_path / "link.yaml").symlink_to("one.yaml")
    for again in ("one.yaml", "./one.yaml", "link.yaml"):
        with pytest.raises(UsageError, match=r"is given twice; name it once$"):
            load_policy(["one.yaml", again])


def test_a_gate_has_a_limit_of_specs(tmp_path: Path) -> None:
    names = [f"s{at}" for at in range(MAX_SPECS + 1)]
    write(tmp_path, **{name: f"sandbox: 1\nname: {name}\n" for name in names})
    load_policy([f"{name}.yaml" for name in names[:-1]])
    with pytest.raises(UsageError, match=f"^these are more than {MAX_SPECS} specs for one gate"):
        load_policy([f"{name}.yaml" for name in names])


# --- ceilings ----------------------------------------------------------------------------------------


def extending(text: str, ceiling: str) -> str:
    return text.replace("\nsession", f"\nextends: {ceiling}\nsession", 1)


def test_a_spec_cannot_extend_itself(tmp_path: Path) -> None:
    write(tmp_path, one=extending(ONE, "one.yaml"))
    itself = "one.yaml:3:10: this spec extends itself; a ceiling stands above what it bounds"
    assert refused("one") == [itself]
    (tmp_path / "link.yaml").symlink_to("one.yaml")
    write(tmp_path, one=extending(ONE, "link.yaml"))
    assert refused("one") == [itself]


def test_ceilings_do_not_go_round(tmp_path: Path) -> None:
    write(
        tmp_path,
        one=extending(ONE, "two.yaml"),
        two=extending(other(), "three.yaml"),
        three=extending(other(("name: two", "name: three")), "two.yaml"),
    )
    round_ = "three.yaml:3:10: this spec extends `two.yaml`, which extends it; a ceiling stands above what it bounds"
    assert refused("one") == [round_]


def test_a_hard_link_to_itself_is_a_second_spec_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, one=extending(ONE, "copy.yaml"))
    (tmp_path / "copy.yaml").hardlink_to(tmp_path / "one.yaml")
    assert refused("one") == ["copy.yaml:3:10: this spec extends itself; a ceiling stands above what it bounds"]


def test_a_ceiling_that_cannot_be_read_is_refused_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path, one=extending(ONE, "folder"))
    assert refused("one") == ["one.yaml:3:10: `folder` is no file; give the path of a YAML file"]
    write(tmp_path, one=extending(ONE, "nowhere.yaml"))
    assert refused("one") == ["one.yaml:3:10: `nowhere.yaml` does not exist; it is relative to this file"]


def test_what_is_wrong_in_a_ceiling_is_said_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, one=extending(ONE, "sub/two.yaml"))
    write(tmp_path / "sub", two="sandbox: 1\nname: x\nzzz: 1\n")
    assert refused("one") == ["sub/two.yaml:3:1: unknown key `zzz`; check its spelling"]


def test_a_long_chain_is_refused_where_it_becomes_too_long(tmp_path: Path) -> None:
    names = [f"s{at}" for at in range(MAX_SPECS + 1)]
    for name, above in zip(names, [*names[1:], None], strict=True):
        extends = f"extends: {above}.yaml\n" if above else ""
        write(tmp_path, **{name: f"sandbox: 1\nname: {name}\n{extends}"})
    last = names[-2]
    assert refused("s0") == [
        f"{last}.yaml:3:10: these are more than {MAX_SPECS} specs for one gate, with those that they extend"
    ]


STATE = "state: {n: {type: int, initial: 0}}"


@pytest.mark.parametrize(
    "changed",
    [
        "state: {n: {type: int, initial: 1}}",
        "state: {n: {type: int, initial: 0, reset: 24h}}",
        "state: {n: {type: int, initial: 0, window: 24h}}",
    ],
)
def test_state_of_a_spec_and_its_ceiling_is_declared_alike(changed: str, tmp_path: Path) -> None:
    write(tmp_path, one=extending(ONE, "two.yaml"), two=other((STATE, changed)))
    assert refused("one") == [
        "one.yaml:5:9: `n` is declared otherwise at two.yaml:4:9; state of a spec and its ceiling is declared alike"
    ]


@pytest.mark.parametrize(
    ("change", "place"),
    [(("state.n + 1", "state.n + 2"), "two.yaml:9:12"), (("    then: {n: state.n + 1}\n", ""), "two.yaml:6:3")],
)
def test_state_of_a_spec_and_its_ceiling_moves_alike(change: tuple[str, str], place: str, tmp_path: Path) -> None:
    write(tmp_path, one=extending(ONE, "two.yaml"), two=other(change))
    expected = f"one.yaml:10:15: the ceiling moves `n` otherwise, at {place}; write the same `then` in both"
    assert refused("one") == [expected]


def test_state_is_compared_with_every_ceiling_however_far_up(tmp_path: Path) -> None:
    stateless = other(("name: two", "name: middle"), (f"{STATE}\n", ""), ("    then: {n: state.n + 1}\n", ""))
    middle = extending(stateless, "two.yaml")
    write(tmp_path, one=extending(ONE, "middle.yaml"), middle=middle, two=other(("state.n + 1", "state.n + 2")))
    assert [line.split(": ")[0] for line in refused("one")] == ["one.yaml:10:15"]


def test_state_of_specs_that_do_not_extend_each_other_is_each_ones_own(tmp_path: Path) -> None:
    write(tmp_path, one=ONE, two=other((STATE, "state: {n: {type: int, initial: 7}}"), ("state.n + 1", "state.n - 1")))
    load_policy(["one.yaml", "two.yaml"])


def test_a_tool_that_the_ceiling_does_not_describe_is_remarked_upon(tmp_path: Path) -> None:
    more = "  u: {rules: [{id: r, allow: true}]}\n"
    write(tmp_path, one=extending(ONE, "two.yaml") + more, two=other())
    (remark,) = lint_ceilings(load_policy("one.yaml"))
    assert str(remark) == "one.yaml:12:3: the ceiling `two` does not describe `u`, so that it is always denied"


def test_what_a_success_writes_is_compared_too(tmp_path: Path) -> None:
    flag = (
        "state: {n: {type: int, initial: 0}}",
        "state: {n: {type: int, initial: 0}, b: {type: bool, initial: false}}",
    )
    one = ONE.replace(*flag).replace("    run:", "    on_success: {b: true}\n    run:")
    write(tmp_path, one=extending(one, "two.yaml"), two=other(flag))
    assert refused("one") == [
        "one.yaml:11:21: the ceiling moves `b` otherwise, at two.yaml:6:3; write the same `on_success` in both"
    ]


TEXTS = ONE.replace(", b: {type: int}", "")
SERVED = TEXTS.replace("    run: {argv: [/bin/true]}\n", "").replace("tools:\n", "server: {prompts: {t: p}}\ntools:\n")


def test_what_judges_a_prompt_in_one_spec_runs_in_none() -> None:
    write(Path(), one=SERVED, two=TEXTS.replace("name: one", "name: two"))
    assert refused("one", "two") == [
        "two.yaml:10:5: `t` judges what a server offers, and has a `run` here, see one.yaml:5:1; take it out"
    ]
    assert refused("two", "one") == [
        "one.yaml:5:1: `t` judges what a server offers, and has a `run` at two.yaml:10:5; take that out"
    ]
