"""The ledger: the same bytes wherever it is written, and every way in which it can differ from what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from prover_specs import IntType, Le, allow, always, arg, argument, boolean, contract, number, tool

from sandbox.errors import UsageError
from sandbox.prove import ledger
from sandbox.prove.ledger import Entry, differences, digest_of, merged, read_ledger, write_ledger

ENTRY = Entry("d1", "always", "proved", ("cap",))
WITH = (
    '{"schema_version": 1, "entries": {"k": {"digest": "d", "kind": "k", "verdict": "proved", "invariants": ["a"], '
    '"invariant": []}}}'
)
FOUND = {"a.yaml/s/one": ENTRY, "a.yaml/s/two": replace(ENTRY, kind="never", invariant=("state.n <= 1",))}


def changes(recorded: dict[str, Entry], found: dict[str, Entry], folder: Path) -> list[tuple[str, str]]:
    return [(each.key, each.change) for each in differences(recorded, found, {"a.yaml"}, folder)]


def test_a_ledger_is_read_as_it_was_written_and_always_the_same(tmp_path: Path) -> None:
    write_ledger(tmp_path, FOUND)
    first = (tmp_path / "ledger.json").read_bytes()
    assert read_ledger(tmp_path) == FOUND
    write_ledger(tmp_path, dict(reversed(FOUND.items())))
    assert (tmp_path / "ledger.json").read_bytes() == first
    assert first.endswith(b"\n")


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_ledger(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema_version": 2, "entries": {}}',
        '{"schema_version": 1, "entries": {"k": {}}}',
        '{"schema_version": 1, "entries": {"k": {"digest": "d", "kind": "k", "verdict": "fine", "invariants": []}}}',
        '{"schema_version": 1, "entries": {"k": {"digest": "d", "kind": "k", "verdict": "proved", "invariants": ""}}}',
        WITH.replace("[]", "[1]"),
        WITH.replace("[]", '"state.n <= 1"'),
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledger.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match="--update"):
        read_ledger(tmp_path)


def test_a_ledger_beyond_all_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_LEDGER", 3)
    write_ledger(tmp_path, {})
    with pytest.raises(UsageError):
        read_ledger(tmp_path)


def test_every_difference_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    one, two = FOUND
    assert changes(FOUND, FOUND, tmp_path) == []
    assert changes({one: ENTRY}, FOUND, tmp_path) == [(two, "missing")]
    assert changes(FOUND, {one: ENTRY}, tmp_path) == [(two, "removed")]
    assert changes(FOUND, {**FOUND, one: replace(ENTRY, digest="d2")}, tmp_path) == [(one, "stale")]
    assert changes(FOUND, {**FOUND, one: replace(ENTRY, invariants=())}, tmp_path) == [(one, "stale")]
    assert changes(FOUND, {**FOUND, one: replace(ENTRY, invariant=("state.b",))}, tmp_path) == [(one, "stale")]
    assert changes(FOUND, {**FOUND, one: replace(ENTRY, verdict="unknown")}, tmp_path) == [(one, "verdict")]


def test_entries_of_files_that_were_not_looked_at_stay_until_the_file_goes(tmp_path: Path) -> None:
    other = {"b.yaml/s/one": ENTRY}
    (tmp_path / "b.yaml").touch()
    assert changes({**FOUND, **other}, FOUND, tmp_path) == []
    assert merged({**other, "a.yaml/s/gone": ENTRY}, FOUND, {"a.yaml"}, tmp_path) == {**other, **FOUND}
    (tmp_path / "b.yaml").unlink()
    assert changes({**FOUND, **other}, FOUND, tmp_path) == [("b.yaml/s/one", "removed")]
    assert merged(other, FOUND, {"a.yaml"}, tmp_path) == FOUND


def test_a_digest_is_over_all_that_the_verdict_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    amount = argument("amount", IntType(0, 9))
    spec = contract((tool("pay", (amount,), (allow(Le(arg(amount), number(3))),)),))
    subject, other = always(boolean(value=True)), always(boolean(value=True), "q")
    digest = digest_of(spec, subject, (subject,))
    assert digest == digest_of(replace(spec, file="elsewhere"), subject, (subject,))
    wider = replace(spec, tools=(replace(spec.tools[0], rules=(allow(Le(arg(amount), number(4))),)),))
    assert digest != digest_of(wider, subject, (subject,))
    assert digest != digest_of(spec, other, (subject,))
    assert digest != digest_of(spec, subject, (subject, other))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "versions", lambda: {"z3-solver": "0"})
        assert digest != digest_of(spec, subject, (subject,))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "ENCODER", ("ir.py",))
        assert digest != digest_of(spec, subject, (subject,))


def test_the_encoder_is_made_of_files_that_exist() -> None:
    root = Path(ledger.__file__).resolve().parent.parent
    assert all(list(root.glob(pattern)) for pattern in ledger.ENCODER)
    assert json.dumps(ledger.versions())
