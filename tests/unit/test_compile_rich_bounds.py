"""Windows and the bound on costs, for amounts and texts inside of records, URLs and command lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract
from sandbox.errors import SpecError

SPEC = """
session: {{bonus: {{type: int, min: 0, max: 9}}, loss: {{type: int}}}}
state: {{v: {{type: int, initial: 0, window: 24h}}}}
tools:
  t:
    args:
      r: {{type: record, fields: {{u: {{type: int, min: 0}}, n: {{type: int}}, xs: {{type: list, items: int}}}}}}
      rs: {{type: list, items: {{type: record, fields: {{u: {{type: int, min: 1}}}}}}, min_size: 1}}
      words: {{type: argv}}
      cmd: {{type: shell}}
      site: {{type: url}}
      at: {{type: timestamp}}
    rules: [{{id: a, {rule}}}]
    then: {{v: "state.v + ({amount})"}}
"""


def load(folder: Path, amount: str, rule: str = "allow: true") -> None:
    load_contract(write(folder, spec(SPEC.format(amount=amount, rule=rule))))


@pytest.mark.parametrize(
    "amount",
    ["args.r.u", "args.rs[0].u - 1", "size(args.words) - 1", "size(args.cmd) - 1", "size(args.cmd[0]) - 1",
     "size(args.r.xs)", "args.site.port", "args.at.getHours()", "args.at.getDayOfWeek()", "6 - now.getDayOfWeek()",
     "59 - now.getMinutes()", "session.bonus", "size(args.site.host)", "size(args.cmd[0][0])"],
)  # fmt: skip
def test_what_is_declared_not_to_be_negative_may_be_added(tmp_path: Path, amount: str) -> None:
    load(tmp_path, amount)


@pytest.mark.parametrize(
    "amount",
    [
        "args.r.n",
        "args.rs[0].u - 2",
        "size(args.words) - 2",
        "size(args.r.xs) - 1",
        "session.loss",
        "now.getHours() - 1",
    ],
)
def test_what_may_be_negative_may_not(tmp_path: Path, amount: str) -> None:
    with pytest.raises(SpecError, match="might be negative"):
        load(tmp_path, amount)


def test_the_words_of_a_command_line_share_its_characters(tmp_path: Path) -> None:
    load(tmp_path, "0", """deny: "args.cmd.exists(c, c.exists(w, w.contains('x') || w.matches('y$')))" """)


def test_a_word_that_is_looked_for_among_all_words_costs_too_much(tmp_path: Path) -> None:
    loops = "args.words.exists(a, args.words.exists(b, a.contains(b)))"
    with pytest.raises(SpecError, match="a decision could take"):
        load(tmp_path, "0", f'deny: "{loops}"')


def test_quantifiers_over_command_lines_within_each_other_are_too_much_to_write_out(tmp_path: Path) -> None:
    loops = "args.cmd.exists(a, a.exists(b, args.cmd.exists(c, b in c)))"
    with pytest.raises(SpecError, match="written out, the rules of `t` are"):
        load(tmp_path, "0", f'deny: "{loops}"')
