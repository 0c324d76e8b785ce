"""No name that an author chooses makes the prover take two things for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compile import load_properties
from sandbox.errors import PropertyError
from sandbox.prove import ProveOptions, prove_paths
from sandbox.prove.verdicts import name_of

pytestmark = pytest.mark.usefixtures("forked")

LOOK_ALIKE_ARGUMENTS = """
sandbox: 1
name: alike
tools:
  t:
    args:
      l: {type: list, items: {type: int}, max_size: 2}
      l_len: {type: int, min: 0, max: 100}
      l_0: {type: int, min: 0, max: 100}
    rules:
      - {id: all, allow: "size(args.l) > 0 && args.l[0] < 3"}
"""


@pytest.mark.parametrize("solver", ["z3", "cvc5"])
@pytest.mark.parametrize("condition", ["args.l_len > 5", "args.l_0 > 5"])
def test_an_argument_is_no_part_of_a_list_whose_name_its_own_begins_with(
    condition: str, solver: str, tmp_path: Path
) -> None:
    (tmp_path / "alike.yaml").write_text(LOOK_ALIKE_ARGUMENTS)
    properties = f'proves: alike.yaml\nproperties:\n  - {{id: large, never: "{condition}"}}\n'
    (tmp_path / "properties.yaml").write_text(properties)
    report = prove_paths([tmp_path / "properties.yaml"], ProveOptions(solver=solver))  # type: ignore[arg-type]  # one of the choices
    assert name_of(report.properties[0].verdict) == "refuted", report.properties[0].verdict


def test_two_specs_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    for folder, rule in (("loose", "true"), ("strict", "args.n < 5")):
        (tmp_path / folder).mkdir()
        tool = f'{{args: {{n: {{type: int}}}}, rules: [{{id: r, allow: "{rule}"}}]}}'
        text = f"sandbox: 1\nname: same\ntools:\n  t: {tool}\n"
        (tmp_path / folder / "s.yaml").write_text(text)
    place = tmp_path / "properties.yaml"
    place.write_text('proves: [loose/s.yaml, strict/s.yaml]\nproperties:\n  - {id: small, never: "args.n > 5"}\n')
    with pytest.raises(PropertyError, match="both named `same`"):
        load_properties(place)
