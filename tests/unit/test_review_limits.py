"""A spec that loads can be decided: no number of rules and no size of a list takes an honest call past the deadline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.call import Call
from sandbox.compile import load_contract
from sandbox.compile.cost import MAX_COST, MAX_TERMS
from sandbox.decide import Evaluator
from sandbox.errors import SpecError
from sandbox.ir import Contract
from sandbox.parse import parse_call


def loaded(folder: Path, tool: str) -> Contract:
    (folder / "spec.yaml").write_text(f"sandbox: 1\nname: s\ntools:\n  t:\n{tool}")
    return load_contract(folder / "spec.yaml")


@pytest.mark.parametrize("kind", ["allow", "ask", "deny"])
def test_a_thousand_rules_and_more_are_decided_and_the_first_that_is_true_decides(kind: str, tmp_path: Path) -> None:
    rules = "".join(f'      - {{id: r{at}, {kind}: "args.n <= {at}"}}\n' for at in range(1_200))
    contract = loaded(tmp_path, f"    args: {{n: {{type: int}}}}\n    rules:\n{rules}")
    evaluator = Evaluator(contract)
    for number, rule in ((0, "r0"), (601, "r601"), (1_199, "r1199"), (1_200, "")):
        call = parse_call(json.dumps({"tool": "t", "args": {"n": number}}), contract)
        assert isinstance(call, Call)
        assert evaluator.claim(call, {}).rule == rule


def test_quantifiers_within_quantifiers_are_refused_before_the_solver_has_to_write_them_out(tmp_path: Path) -> None:
    lists = "{type: list, items: int, max_size: 200}"
    tool = (
        f"    args: {{a: {lists}, b: {lists}}}\n    rules:\n"
        '      - {id: apart, allow: "args.a.all(x, args.b.all(y, x != y))"}\n'
    )
    with pytest.raises(SpecError, match=f"are 200,401 terms, .* and {MAX_TERMS:,} are allowed") as refused:
        loaded(tmp_path, tool)
    assert refused.value.problems[0].place.line == 7


@pytest.mark.parametrize("subject", ["args.a", "(size(args.b) > 0 ? args.a : args.b)"])
def test_the_search_for_a_long_variable_part_is_refused(subject: str, tmp_path: Path) -> None:
    long = "{type: string, max_size: 16KiB}"
    tool = f'    args: {{a: {long}, b: {long}}}\n    rules: [{{id: r, allow: "{subject}.contains(args.b)"}}]\n'
    with pytest.raises(SpecError, match=f"2,7.* steps, of which rule `r` takes 2,68.* and {MAX_COST:,} are allowed"):
        loaded(tmp_path, tool)
