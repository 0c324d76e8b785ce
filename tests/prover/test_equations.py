"""Words in place of patterns: satisfiable iff the patterns were, whatever they stand under; and cvc5 decides them.

Rests on Z3: on random formulas it says the same of both forms. Every slip in the rewriting is noticed by that.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import z3

from sandbox.prove import Proved, ProveOptions, equations, prove_paths, solve
from sandbox.prove.obligations import Query
from sandbox.prove.script import script_of
from sandbox.prove.second import second_opinion
from sandbox.prove.solve import Desk, Open, Sat, Unsat
from sandbox.prove.tape import Tape
from sandbox.prove.verify import VerifyOptions, verify
from sandbox.regex import literal_re, path_language, to_z3

pytestmark = pytest.mark.usefixtures("forked")

ROOT = Path(__file__).resolve().parents[2]
CTX = z3.Context()
S = z3.String("s", CTX)
T = z3.String("word_1", CTX)
"""Named as the rewriting would name a word of its own."""
TEXTS = ("", "a", "b", "A", "/", "ab", "/a", "Ab/", "ba", "aab", "/ab/", "a\n", "bA/b")
SORT = z3.ReSort(z3.StringSort(CTX))
FULL, ANY, NONE = z3.Full(SORT), z3.AllChar(SORT, CTX), z3.Empty(SORT)
Rewriting = Callable[[tuple[z3.BoolRef, ...]], tuple[z3.BoolRef, ...]]


def text_of(chance: random.Random) -> z3.ReRef:
    return z3.Re(z3.StringVal(chance.choice(("a", "b", "A", "/", "ab", "/a", "")), CTX))


def letters_of(chance: random.Random) -> z3.ReRef:
    singles = [z3.Re(z3.StringVal(char, CTX)) for char in chance.sample("abA/", 2)]
    return chance.choice((z3.Union(*singles), z3.Range("a", "b", CTX), z3.Union(z3.Range("A", "z", CTX), singles[0])))


def pattern_of(chance: random.Random, depth: int = 3) -> z3.ReRef:
    """A pattern, mostly one of those that are rewritten."""
    again = partial(pattern_of, chance, depth - 1)
    leaves = (lambda: text_of(chance), lambda: letters_of(chance), lambda: FULL, lambda: z3.Star(ANY))
    rare = (
        lambda: z3.Star(letters_of(chance)),
        lambda: z3.Plus(letters_of(chance)),
        lambda: z3.Loop(letters_of(chance), 1, 2),
        lambda: z3.Star(text_of(chance)),
        lambda: ANY,
        lambda: NONE,
    )
    if depth == 0:
        return chance.choice((*leaves, *leaves, *leaves, *rare))()
    nested = (
        lambda: z3.Concat(*(again() for _ in range(chance.randint(2, 4)))),
        lambda: z3.Concat(FULL, again(), FULL),
        lambda: z3.Union(again(), again()),
        lambda: z3.Option(again()),
    )
    return chance.choice((*nested, *nested, *nested, *leaves, lambda: z3.Complement(again())))()


def row_of(chance: random.Random) -> z3.ReRef:
    """Texts, classes and gaps, as an equation has them."""
    pieces = [chance.choice((text_of, letters_of))(chance) for _ in range(chance.randint(1, 3))]
    return z3.Concat(*pieces[:1], FULL, *pieces[1:], chance.choice((text_of, letters_of))(chance))


def formula_of(chance: random.Random, depth: int = 3) -> z3.BoolRef:
    """Memberships of two strings under everything that a formula may have."""
    again = partial(formula_of, chance, depth - 1)
    if depth == 0:
        return z3.InRe(chance.choice((S, S, T, z3.Concat(S, T))), chance.choice((row_of, pattern_of))(chance))
    return chance.choice(
        (
            lambda: z3.And(again(), again()),
            lambda: z3.Or(again(), again()),
            lambda: z3.Not(again()),
            lambda: z3.Not(again()),
            lambda: z3.Implies(again(), again()),
            lambda: z3.If(again(), again(), again()),
            lambda: again() == again(),
            lambda: z3.If(again(), z3.IntVal(1, CTX), z3.IntVal(0, CTX)) + z3.If(again(), 1, 0) == 1,
            again,
        )
    )()


def said(terms: tuple[z3.BoolRef, ...]) -> str:
    solver = z3.Solver(ctx=CTX)
    solver.set("rlimit", 300_000)
    solver.add(*terms)
    return str(solver.check())


def pairs(rewriting: Rewriting, seeds: range) -> Iterator[tuple[str, str]]:
    """What Z3 says of formulas, and of their other form: of all texts at once, and of given ones."""
    for seed in seeds:
        chance = random.Random(seed)  # noqa: S311 - repeatable
        terms = (T != "?", *(formula_of(chance, chance.randint(0, 3)) for _ in range(chance.randint(1, 2))))
        other = rewriting(terms)
        assert len(other) == len(terms)
        yield said(terms), said(other)
        for _ in range(4):
            one, other_one = (z3.StringVal(chance.choice(TEXTS), CTX) for _ in range(2))
            given = (one == S, other_one == T)
            yield said((*terms, *given)), said((*other, *given))


def differ(found: Iterator[tuple[str, str]]) -> bool:
    return any({one, other} == {"sat", "unsat"} for one, other in found)


@pytest.mark.no_cover
def test_both_forms_have_the_same_verdict() -> None:
    found = list(pairs(equations.in_words, range(400)))
    assert not differ(iter(found))
    decided = [one for one, other in found if one == other != "unknown"]
    assert len(decided) > 0.9 * len(found)
    assert min(decided.count("sat"), decided.count("unsat")) > 0.2 * len(found)


SLIPS = {
    "polarity is not turned": ("holds=not holds", "holds=holds"),
    "words where nothing must hold": ("if holds and _is_membership(term)", "if _is_membership(term)"),
    "only where nothing must hold": ("if holds and _is_membership(term)", "if not holds and _is_membership(term)"),
    "a disjunction holds as a whole": ("return z3.Or([_opened(", "return z3.And([_opened("),
    "a conjunction holds in part": ("return z3.And([_opened(", "return z3.Or([_opened("),
    "the beginning for the end": ("z3.SuffixOf(word, subject)", "z3.PrefixOf(word, subject)"),
    "the end for the beginning": ("z3.PrefixOf(word, subject)", "z3.SuffixOf(word, subject)"),
    "containing is being": ("z3.Contains(subject, word)", "subject == word"),
    "containing the other way round": ("z3.Contains(subject, word)", "z3.Contains(word, subject)"),
    "being is containing": ("[subject == word for", "[z3.Contains(subject, word) for"),
    "a gap on one side is on both": ("if before and after:", "if before or after:"),
    "always a gap before": ("before, after = first > 0,", "before, after = first >= 0,"),
    "never a gap after": (", last < len(pieces)\n", ", False\n"),
    "the last letter of a range is left out": ("range(low, high + 1)", "range(low, max(high, low + 1))"),
    "a first word for all": ('["".join(each) for each in product(*choices)]', '["".join(each[0] for each in choices)]'),
    "an option must be": ("found = [(), *_alternatives(pattern.arg(0))]", "found = _alternatives(pattern.arg(0))"),
    "an option cannot be": ("found = [(), *_alternatives(pattern.arg(0))]", "found = [()]"),
    "the first alternatives only": ("for each in pattern.children() for", "for each in pattern.children()[:1] for"),
    "some letters of a choice": ("if len(known) == len(parts) else None", "if known else None"),
    "any repetition is a gap": ("z3.is_app_of(piece.arg(0), z3.Z3_OP_RE_FULL_CHAR_SET)", "True"),
    "no repetition within a class": ("within += [] if _is_gap(piece) else [", "within += [] and ["),
    "one word for all gaps": ("self.made += 1", "self.made = 1"),
    "a name that is taken": ("while any(name.startswith(prefix) for name in names):", "while False:"),
    "alternatives are all": ("else z3.Or(options)", "else z3.And(options)"),
}
"""Of the source: what stands there once, and what stands there then."""


@pytest.mark.no_cover
@pytest.mark.parametrize("slip", sorted(SLIPS))
def test_every_slip_in_the_rewriting_is_noticed(slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, (old, new) = Path(equations.__file__).read_text(encoding="utf-8"), SLIPS[slip]
    assert source.count(old) == 1
    module = ModuleType("slipped_equations")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source.replace(old, new), module.__name__, "exec"), module.__dict__)  # noqa: S102 - our own source
    assert differ(pairs(module.in_words, range(400)))


def within(pattern: str, *, lower: bool = False) -> z3.BoolRef:
    return z3.InRe(S, to_z3(pattern, mode="search", lower=lower, ctx=CTX))


PATH = z3.InRe(S, path_language(CTX))
HIDDEN = within(r"/\.git(/|$)", lower=True)
NAMED = z3.Or(
    z3.InRe(S, literal_re("/.git/", where="contains", lower=True, ctx=CTX)),
    z3.InRe(S, literal_re("/.git", where="ends", lower=True, ctx=CTX)),
)
SECRET = z3.InRe(S, literal_re("password", where="contains", lower=True, ctx=CTX))


def test_a_few_words_are_written_out_and_many_become_an_equation() -> None:
    (spelled,) = equations.in_words((z3.Not(z3.InRe(S, literal_re("/g", where="ends", lower=True, ctx=CTX))),))
    assert spelled.sexpr() == '(not (or (str.suffixof "/G" s) (str.suffixof "/g" s)))'
    (must,) = equations.in_words((within("^a.b$"),))
    assert must.sexpr().startswith('(and (= s (str.++ "a" word_1 "b"))')
    forbidden = (z3.Not(SECRET),)
    assert equations.in_words(forbidden)[0].eq(forbidden[0])


def test_nothing_under_a_quantifier_moves() -> None:
    part = z3.Exists([T], z3.And(HIDDEN, S == T))
    assert equations.in_words((part,))[0].eq(part)


@pytest.mark.parametrize(
    ("terms", "answer"),
    [
        ((PATH, z3.Not(HIDDEN), NAMED), Unsat()),
        ((PATH, HIDDEN, z3.Not(NAMED)), Unsat()),
        ((PATH, HIDDEN, NAMED), Sat()),
        ((z3.Not(SECRET), within("x.*password", lower=True)), Unsat()),
        ((SECRET, z3.Not(within("x.*password", lower=True))), Sat()),
    ],
)
def test_the_second_solver_decides_patterns_against_patterns(terms: tuple[z3.BoolRef, ...], answer: object) -> None:
    query = Query("q", terms)
    assert second_opinion(script_of(query, "words"), 20_000) == type(answer).__name__.lower()
    assert [Desk(choice, 60, clock=lambda: 0.0).prove(query) for choice in ("cvc5", "both")] == [answer, answer]


def test_what_is_open_in_every_form_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unsure(text: str, _: int) -> str:
        asked.append(text)
        return "unknown"

    monkeypatch.setattr(solve, "second_opinion", unsure)
    query = Query("q", (z3.Not(HIDDEN), NAMED))
    assert Desk("both", 60, clock=lambda: 0.0).prove(query) == Open("cvc5 gave up")
    assert asked == [script_of(query), script_of(query, "words"), script_of(query)]


def test_the_shipped_property_about_repositories_is_proved_by_both_and_its_certificate_has_that_form(
    tmp_path: Path,
) -> None:
    for name in ("specs", "tools", "workspaces"):
        shutil.copytree(ROOT / name, tmp_path / name)
    written = (ROOT / "proofs" / "files.yaml").read_text(encoding="utf-8")
    start, end = written.index("  - id: nothing-of-a-repository"), written.index("  - id: only-public")
    (tmp_path / "proofs").mkdir()
    properties = tmp_path / "proofs" / "files.yaml"
    properties.write_text(written[: written.index("  - id:")] + written[start:end])
    report = prove_paths([properties], ProveOptions(solver="both", emit_dir=tmp_path / "cert"))
    (found,) = report.properties
    assert isinstance(found.verdict, Proved)
    assert [each.label for each in found.obligations if each.form == "words"] == [
        f"meets_{case}" for case in ("read_public", "read_notes", "list_dir_below", "write_notes", "write_publish")
    ]
    assert "open" not in {each.answer for each in found.obligations}
    for solver in ("z3", "cvc5", "both"):
        checked = verify(tmp_path / "cert", [tmp_path / "specs" / "files.yaml"], VerifyOptions(solver=solver))
        assert [each.status for each in checked.properties] == ["verified"]
    text = next((tmp_path / "cert").glob("*meets_read_public*")).read_text(encoding="utf-8")
    assert '; rule `read.no-repository`\n(assert (! (not (or (str.contains arg_path "/.GIT/")' in text


def test_where_the_second_solver_is_asked_alone_the_file_has_the_form_that_it_decided(tmp_path: Path) -> None:
    tape = Tape(None, "cvc5")
    query = Query("q", (within("^a.*b.*c$"), z3.Not(within("^a.*c$"))))
    tape.note(query, "unsat", None, "words")
    (written,) = tape.written(tmp_path, "q")
    assert written.form == "words"
    assert (tmp_path / written.file).read_text(encoding="utf-8") == script_of(query, "words")
