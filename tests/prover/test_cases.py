"""The cases of a tool are what the machine says: each call in exactly one, with the verdict and rule of the machine."""

from __future__ import annotations

import itertools

from prover_specs import And, Argument, Rule, arg, contract, tool

from sandbox.evaluate import Env, evaluate, truth
from sandbox.ir import VERDICTS, BoolType
from sandbox.machine import rule_of, verdict_of
from sandbox.prove.obligations import cases

FLAGS = tuple(Argument(name, BoolType()) for name in ("a", "b", "c"))


def test_each_call_is_in_one_case_and_the_machine_agrees() -> None:
    for kinds in itertools.product(VERDICTS, repeat=len(FLAGS)):
        rules = tuple(Rule(f.name, kind, arg(f)) for f, kind in zip(FLAGS, kinds, strict=True))
        judged = tool("t", FLAGS, rules)
        verdict, rule = evaluate(verdict_of(judged)), evaluate(rule_of(judged))
        for values in itertools.product((False, True), repeat=len(FLAGS)):
            env = Env({f.name: value for f, value in zip(FLAGS, values, strict=True)}, {})
            at = [case for case in cases(judged) if truth(And((case.guard, case.first)))(env)]
            assert [(case.verdict, case.rule) for case in at] == [(verdict(env), rule(env))]
            assert {case.verdict for case in cases(judged) if truth(case.guard)(env)} == {verdict(env)}


def test_a_tool_without_rules_has_the_default_alone() -> None:
    spec = contract((tool("t", (), ()),))
    assert [(case.rule, case.verdict) for case in cases(spec.tools[0])] == [("", "deny")]
