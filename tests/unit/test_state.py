"""The store: all or nothing, single use, cancel only where nothing followed, and never a fresh state by accident."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.errors import Fault, UsageError
from sandbox.ir import BoolSort, Contract, DecimalSort, EnumSort, IntSort, MapSort, Period, SetSort, Variable
from sandbox.machine import StoredState, apply_then, initial_state, tick
from sandbox.state import Reservation, Status, Store, Transaction, process_start
from sandbox.state_document import read_document, write_document

DAY = 86_400_000
VARIABLES = (
    Variable("count", IntSort(), 0),
    Variable("spent", DecimalSort(2), 5, Period("reset", DAY)),
    Variable("recent", IntSort(), 0, Period("window", 1_000)),
    Variable("phase", EnumSort(("a", "b")), "a"),
    Variable("seen", BoolSort(), initial=False),
)
CONTRACT = Contract("c", (), VARIABLES)
NOW = 10 * DAY + 7


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/state.db"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(url_of(tmp_path), "")


def moved(contract: Contract = CONTRACT) -> StoredState:
    updates: dict[str, bool | int | str] = {"count": 10**40, "recent": 3, "phase": "b", "seen": True}
    return apply_then(contract, tick(contract, initial_state(contract, NOW), NOW + 5), updates)


def reserve(store: Store, nonce: str = "n", before: StoredState | None = None) -> None:
    with store.transaction() as transaction:
        loaded = transaction.load(CONTRACT, NOW)
        transaction.save(CONTRACT, apply_then(CONTRACT, loaded, {"count": int(loaded.values["count"]) + 1}))
        transaction.reserve(Reservation(nonce, "t", "digest", NOW))


def count(store: Store) -> object:
    with store.transaction() as transaction:
        return transaction.load(CONTRACT, NOW).values["count"]


# --- state


def test_a_state_that_was_never_written_is_the_initial_one(store: Store) -> None:
    with store.transaction() as transaction:
        assert transaction.load(CONTRACT, NOW) == initial_state(CONTRACT, NOW)
        assert transaction.version("c") == 0


def test_what_was_saved_is_loaded_by_another_store(store: Store, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
    store.close()
    with Store.open(url_of(tmp_path), "").transaction() as transaction:
        assert transaction.load(CONTRACT, 0) == moved()
        assert transaction.version("c") == 1


def test_contracts_do_not_share_their_state(store: Store) -> None:
    other = Contract("d", (), VARIABLES)
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        assert transaction.load(other, NOW) == initial_state(other, NOW)


def test_an_exception_leaves_everything_as_it_was(store: Store) -> None:
    def fail_after_writing(transaction: Transaction) -> None:
        transaction.save(CONTRACT, moved())
        transaction.reserve(Reservation("n", "t", "d", NOW))
        transaction.stop()
        raise KeyError

    with pytest.raises(KeyError), store.transaction() as transaction:
        fail_after_writing(transaction)
    with store.transaction() as transaction:
        assert transaction.version("c") == 0
        assert transaction.reservation("n") is None
        assert not transaction.stopped()


def test_a_transaction_that_ended_is_of_no_use(store: Store) -> None:
    with store.transaction() as transaction:
        pass
    with pytest.raises(Fault, match="has ended"):
        transaction.stop()


def test_a_transaction_cannot_be_nested(store: Store) -> None:
    with store.transaction(), pytest.raises(Fault, match="already open"), store.transaction():
        pass


def test_a_closed_store_faults(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(Fault, match="cannot be read or written"), store.transaction():
        pass


def test_a_forked_process_must_open_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(Fault, match="fork"), store.transaction():
        pass
    store.close()
    monkeypatch.undo()
    assert count(store) == 0


def test_a_held_database_is_a_fault_and_not_a_wait_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.state_file.BUSY_SECONDS", 0.0)
    one, two = Store.open(url_of(tmp_path), ""), Store.open(url_of(tmp_path), "")
    with one.transaction(), pytest.raises(Fault) as caught, two.transaction():
        pass
    assert caught.value.reason_code == "state.busy"


def test_threads_take_turns(store: Store) -> None:
    def add() -> None:
        for _ in range(20):
            with store.transaction() as transaction:
                state = transaction.load(CONTRACT, NOW)
                transaction.save(CONTRACT, apply_then(CONTRACT, state, {"count": int(state.values["count"]) + 1}))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(store) == 80


# --- a spec that changed


def test_a_new_variable_stands_at_initial_and_the_others_keep_their_values(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        more = (
            *VARIABLES,
            Variable("fresh", IntSort(), 9, Period("reset", 5)),
            Variable("w", IntSort(), 0, Period("window", 5)),
        )
        loaded = transaction.load(Contract("c", (), more), NOW)
        assert loaded.values == {**moved().values, "fresh": 9}
        assert loaded.events["recent"] == ((NOW + 5, 3),)
        assert loaded.events["w"] == ()
        assert loaded.epochs == {DAY: 10, 5: (NOW + 5) // 5}
        tick(Contract("c", (), more), loaded, NOW + 10)


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        (VARIABLES[1:], "is gone"),
        ((Variable("renamed", IntSort(), 0), *VARIABLES[1:]), "`count` is gone"),
        ((Variable("count", DecimalSort(2), 0), *VARIABLES[1:]), "stored as `int`"),
        ((VARIABLES[0], Variable("spent", DecimalSort(3), 5, Period("reset", DAY)), *VARIABLES[2:]), "decimal 2 reset"),
        ((VARIABLES[0], Variable("spent", DecimalSort(2), 5), *VARIABLES[2:]), "says `decimal 2`"),
        ((*VARIABLES[:2], Variable("recent", IntSort(), 0, Period("window", 9)), *VARIABLES[3:]), "int window 9"),
        ((*VARIABLES[:3], Variable("phase", EnumSort(("a", "c")), "a"), *VARIABLES[4:]), "none of its values"),
        ((*VARIABLES[:4], Variable("seen", IntSort(), 0)), "stored as `bool`"),
    ],
)
def test_a_stored_state_that_no_longer_fits_does_not_load(
    store: Store, variables: tuple[Variable, ...], word: str
) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        with pytest.raises(UsageError, match=word) as caught:
            transaction.load(Contract("c", (), variables), NOW)
    assert caught.value.reason_code == "state.misfit"


def test_an_enum_may_get_more_values(store: Store) -> None:
    wider = (*VARIABLES[:3], Variable("phase", EnumSort(("a", "b", "c")), "a"), *VARIABLES[4:])
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        assert transaction.load(Contract("c", (), wider), NOW) == moved()


SETS = (
    Variable("seen", SetSort(EnumSort(("a", "b"))), ()),
    Variable("given", MapSort(EnumSort(("x", "y")), IntSort()), 0),
    Variable("late", MapSort(EnumSort(("x", "y")), IntSort()), 0, Period("window", DAY)),
)


@pytest.mark.parametrize(
    ("at", "narrower", "held"),
    [
        (0, Variable("seen", SetSort(EnumSort(("a",))), ()), "`seen` holds `b`"),
        (1, Variable("given", MapSort(EnumSort(("x",)), IntSort()), 0), "`given` holds `y`"),
        (2, Variable("late", MapSort(EnumSort(("x",)), IntSort()), 0, Period("window", DAY)), "`late` holds `y`"),
    ],
)
def test_an_enum_of_items_or_keys_may_not_lose_what_is_stored(
    store: Store, at: int, narrower: Variable, held: str
) -> None:
    kept = StoredState(
        {"seen": frozenset({"a", "b"}), "given": {"y": 2}}, {}, {}, NOW, key_events={"late": {"y": ((NOW, 1),)}}
    )
    with store.transaction() as transaction:
        transaction.save(Contract("c", (), SETS), kept)
        assert transaction.load(Contract("c", (), SETS), NOW) == kept
        with pytest.raises(UsageError, match=f"{held}, which is none of its values in the spec"):
            transaction.load(Contract("c", (), (*SETS[:at], narrower, *SETS[at + 1 :])), NOW)


# --- the spec that a state belongs to


def test_a_state_belongs_to_the_spec_that_was_opened_last(store: Store) -> None:
    with store.transaction() as transaction:
        assert transaction.spec("c") is None
        assert transaction.superseded([("c", "one")]) == "c"
        assert transaction.adopt("c", "one") is None
        assert transaction.adopt("c", "one") == "one"
        assert transaction.adopt("c", "two") == "one"
        assert transaction.spec("c") == "two"
        assert transaction.superseded([("c", "two")]) == ""
        assert transaction.superseded([("c", "two"), ("d", "one")]) == "d"


def test_what_an_earlier_spec_spent_is_not_given_back(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.adopt("c", "one")
    reserve(store)
    with store.transaction() as transaction:
        transaction.adopt("c", "one")  # the same one: nothing changes
        transaction.adopt("d", "two")
    reserve(store, "later")
    with store.transaction() as transaction:
        assert transaction.cancel([CONTRACT], "later")
        transaction.adopt("c", "two")
        assert not transaction.cancel([CONTRACT], "n")


# --- reservations


def test_a_reservation_is_kept_whole(store: Store) -> None:
    reserve(store)
    with store.transaction() as transaction:
        assert transaction.reservation("n") == Reservation(
            "n",
            "t",
            "digest",
            NOW,
            "reserved",
            os.getpid(),
            process_start(os.getpid()),
            undo=1,
        )
        assert transaction.reservation("m") is None


def test_a_nonce_is_used_once(store: Store) -> None:
    reserve(store)
    with pytest.raises(Fault) as caught:
        reserve(store)
    assert caught.value.reason_code == "permit.used"
    assert count(store) == 1
    with store.transaction() as transaction:
        transaction.advance("n", expect="reserved", to="running")
    with pytest.raises(Fault, match="used already"), store.transaction() as transaction:
        transaction.advance("n", expect="reserved", to="running")
    with pytest.raises(Fault, match="unknown"), store.transaction() as transaction:
        transaction.advance("other", expect="reserved", to="running")


def test_a_reservation_begins_reserved(store: Store) -> None:
    with pytest.raises(Fault, match="begins `reserved`"), store.transaction() as transaction:
        transaction.reserve(Reservation("n", "t", "d", NOW, status="running"))


STATUSES: tuple[Status, ...] = ("reserved", "running", "settled", "failed", "cancelled", "interrupted")
STEPS: set[tuple[Status, Status]] = {
    ("reserved", "running"),
    ("reserved", "failed"),
    ("reserved", "interrupted"),
    ("running", "settled"),
    ("running", "failed"),
    ("running", "interrupted"),
}


@pytest.mark.parametrize("expect", STATUSES)
@pytest.mark.parametrize("to", STATUSES)
def test_a_reservation_moves_on_and_never_back(store: Store, expect: Status, to: Status) -> None:
    reserve(store)
    with store.transaction() as transaction:
        if expect == "running":
            transaction.advance("n", expect="reserved", to="running")
    if (expect, to) in STEPS:
        with store.transaction() as transaction:
            transaction.advance("n", expect=expect, to=to)
            found = transaction.reservation("n")
        assert found is not None
        assert found.status == to
        assert found.undo == (1 if to == "running" else 0)
    else:
        with pytest.raises(Fault, match="does not go"), store.transaction() as transaction:
            transaction.advance("n", expect=expect, to=to)


@pytest.mark.parametrize("status", ["reserved", "running"])
def test_cancel_gives_back_what_nothing_has_followed(store: Store, status: Status) -> None:
    reserve(store)
    with store.transaction() as transaction:
        if status == "running":
            transaction.advance("n", expect="reserved", to="running")
        assert transaction.cancel([CONTRACT], "n")
        found = transaction.reservation("n")
        assert found is not None
        assert found.status == "cancelled"
    assert count(store) == 0


def test_cancel_does_not_turn_the_clock_back(store: Store) -> None:
    with store.transaction() as transaction:
        before = transaction.load(CONTRACT, NOW)
        transaction.save(CONTRACT, tick(CONTRACT, before, NOW + DAY))
        transaction.reserve(Reservation("n", "t", "digest", NOW))
        assert transaction.cancel([CONTRACT], "n")
        assert transaction.load(CONTRACT, NOW).clock_ms == NOW + DAY


def test_cancel_keeps_what_was_spent_once_another_call_followed(store: Store) -> None:
    reserve(store, "first")
    reserve(store, "second")
    with store.transaction() as transaction:
        assert not transaction.cancel([CONTRACT], "first")
        found = transaction.reservation("first")
        assert found is not None
        assert found.status == "failed"
        assert transaction.load(CONTRACT, NOW).values["count"] == 2
        assert transaction.cancel([CONTRACT], "second")
        assert transaction.load(CONTRACT, NOW).values["count"] == 1


def test_two_cancels_in_a_row_do_not_give_back_twice(store: Store) -> None:
    reserve(store)
    with store.transaction() as transaction:
        assert transaction.cancel([CONTRACT], "n")
    with pytest.raises(Fault, match="used already"), store.transaction() as transaction:
        transaction.cancel([CONTRACT], "n")


@pytest.mark.parametrize("end", ["settled", "failed", "interrupted"])
def test_a_finished_call_is_not_cancelled(store: Store, end: Status) -> None:
    reserve(store)
    with store.transaction() as transaction:
        transaction.advance("n", expect="reserved", to="running")
        transaction.advance("n", expect="running", to=end)
    for contract, nonce in ((CONTRACT, "n"), (CONTRACT, "other"), (Contract("d", ()), "n")):
        with pytest.raises(Fault), store.transaction() as transaction:
            transaction.cancel([contract], nonce)
    assert count(store) == 1


def test_what_was_spent_under_another_spec_is_never_given_back(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        transaction.reserve(Reservation("n", "t", "d", NOW))
        transaction.adopt("c", "another")
        assert not transaction.cancel([CONTRACT], "n")
        assert transaction.load(CONTRACT, NOW) == moved()


def test_a_call_that_changed_nothing_has_nothing_to_give_back(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
    with store.transaction() as transaction:
        transaction.save(CONTRACT, transaction.load(CONTRACT, NOW))
        transaction.reserve(Reservation("n", "t", "d", NOW))
    reserve(store, "later")
    with store.transaction() as transaction:
        assert transaction.cancel([CONTRACT], "n")
        assert transaction.load(CONTRACT, NOW).values["count"] == 10**40 + 1


def test_only_what_a_dead_process_left_is_unfinished(store: Store) -> None:
    reserve(store, "mine")
    here = Reservation("x", "t", "d", NOW)
    with store.transaction() as transaction:
        for nonce, pid, start in (
            ("dead", 2**22 + 1, here.owner_start),
            ("reborn", os.getpid(), "another boot:1"),
            ("unknown", os.getpid(), ""),
            ("done", 2**22 + 1, "x"),
        ):
            transaction.reserve(Reservation(nonce, "t", "d", NOW, owner_pid=pid, owner_start=start))
        transaction.advance("done", expect="reserved", to="failed")
        transaction.advance("reborn", expect="reserved", to="running")
        assert [each.nonce for each in transaction.unfinished()] == ["dead", "reborn", "unknown"]


def test_a_zombie_has_no_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) == ""
    child.wait()
    assert process_start(child.pid) == ""


# --- the kill switch


def test_the_kill_switch_survives_and_its_epoch_only_grows(store: Store, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        assert (transaction.stopped(), transaction.kill_epoch()) == (False, 0)
        transaction.stop()
    with Store.open(url_of(tmp_path), "").transaction() as transaction:
        assert (transaction.stopped(), transaction.kill_epoch()) == (True, 1)
        transaction.resume()
        assert (transaction.stopped(), transaction.kill_epoch()) == (False, 1)


# --- where it is


def test_a_store_in_memory_has_no_record() -> None:
    store = Store.in_memory()
    reserve(store)
    assert count(store) == 1
    with pytest.raises(UsageError, match="no record"):
        _ = store.audit_path
    store.close()


def test_the_url_the_environment_and_the_default_say_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANDBOX_STATE", raising=False)
    assert (
        Store.open(None, str(tmp_path / "specs" / "x.yaml")).audit_path == tmp_path / "specs/.sandbox/state.audit.jsonl"
    )
    assert Store.open("sqlite:///here.db", "").audit_path == tmp_path / "here.audit.jsonl"
    assert Store.open(f"sqlite:///{tmp_path}/a.b.db", "").audit_path == tmp_path / "a.b.audit.jsonl"
    monkeypatch.setenv("SANDBOX_STATE", "sqlite:///there.db")
    assert Store.open(None, "x.yaml").audit_path == tmp_path / "there.audit.jsonl"


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        store = Store.open(url_of(tmp_path / "made"), "")
        reserve(store)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    for file in (tmp_path / "made").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert {file.name for file in (tmp_path / "made").iterdir()} == {"state.db", "state.db-wal", "state.db-shm"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state.db",
        "/state.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a?mode=ro",
        "sqlite:///a#b",
        "postgresql://host/db",
        "file:///a",
        "SQLITE:///a",
        "sqlite:///a\x00b",
    ],
)
def test_another_url_is_a_usage_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_STATE", url.replace("\0", "") or "nothing")
    with pytest.raises(UsageError, match="sqlite:///relative"):
        Store.open(url if "\0" in url else None, "")


def test_a_place_that_others_can_change_is_refused(tmp_path: Path) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    everybodys.chmod(0o777)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "state.db")
    (tmp_path / "folder.db").mkdir()
    loose = tmp_path / "loose.db"
    Store.open(f"sqlite:///{loose}", "").close()
    loose.chmod(0o622)
    for path in (
        everybodys / "state.db",
        link,
        tmp_path / "folder.db",
        loose,
        Path("/proc/1/x.db"),
        loose / "x" / "y.db",
    ):
        with pytest.raises(UsageError) as caught:
            Store.open(f"sqlite:///{path}", "")
        assert caught.value.reason_code == "state.place"
    for mode in (0o1777, 0o770):
        everybodys.chmod(mode)
        with pytest.raises(UsageError, match="chmod go-w"):
            Store.open(f"sqlite:///{everybodys}/state.db", "")


def test_a_database_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(url_of(tmp_path), "").close()
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    with pytest.raises(UsageError, match="others own"):
        Store.open(url_of(tmp_path), "")


def test_a_folder_where_nothing_can_be_made_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(UsageError, match="No space left"):
        Store.open(url_of(tmp_path), "")
    assert list(tmp_path.iterdir()) == []


def test_two_that_make_the_same_database_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def second(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        reserve(Store.open(url_of(tmp_path), ""))
        link(source, target)

    monkeypatch.setattr(os, "link", second)
    assert count(Store.open(url_of(tmp_path), "")) == 1


# --- damage


def test_a_database_that_cannot_be_read_is_a_fault_and_never_a_fresh_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for content in (b"", b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(Fault, match="restore the file") as caught:
            Store.open(url_of(tmp_path), "")
        assert caught.value.reason_code == "state.corrupt"
        assert path.read_bytes() == content


def test_a_database_of_another_program_or_version_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "state.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    (tmp_path / "state.db").chmod(0o600)
    with pytest.raises(Fault, match="not a state of this program"):
        Store.open(url_of(tmp_path), "")
    Store.open(url_of(tmp_path / "new"), "").close()
    older = sqlite3.connect(tmp_path / "new" / "state.db")
    older.execute("PRAGMA user_version = 1")
    older.close()
    with pytest.raises(UsageError, match="format 1, this version reads 5"):
        Store.open(url_of(tmp_path / "new"), "")


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE state SET document = replace(document, \'"int":"1"\', \'"int":"0"\')',
        "UPDATE state SET version = version - 1",
        "UPDATE state SET contract = 'd'",
        "DELETE FROM state",
        "UPDATE state SET clock_ms = clock_ms + 1",
        "UPDATE state SET scope = 'principal'",
        "UPDATE state SET scope = 'unheard of'",
        "UPDATE state SET holder = 'ann'",
        "UPDATE spent SET before = '[]'",
        'UPDATE spent SET before = replace(before, \'"int":"0"\', \'"int":"9"\')',
        "UPDATE spent SET scope = 'unheard of'",
        "UPDATE reservations SET status = 'unheard of'",
        "DELETE FROM meta",
        "DROP TABLE reservations",
        "DROP TABLE spent",
    ],
)
def test_content_that_is_damaged_is_a_fault(tmp_path: Path, statement: str) -> None:
    store = Store.open(url_of(tmp_path), "")
    reserve(store)
    damaging = sqlite3.connect(tmp_path / "state.db")
    damaging.execute(statement)
    damaging.commit()
    damaging.close()
    store = Store.open(url_of(tmp_path), "")  # as another process does, which has read nothing yet

    def read_all(transaction: Transaction) -> None:
        transaction.load(CONTRACT, NOW)
        transaction.reservation("n")
        transaction.stopped()

    with pytest.raises(Fault), store.transaction() as transaction:
        read_all(transaction)


def test_a_document_that_is_none_is_a_fault() -> None:
    for document in ("x", "[]", "{}", '{"shapes":1}', write_document({}, moved()).replace('{"int":"1', '{"ant":"1')):
        with pytest.raises(Fault, match="restore the file"):
            read_document(document)
    with pytest.raises(Fault, match="restore the file"):
        read_document(write_document({}, moved()).replace('"seen":true', '"seen":null'))


def test_damaged_pages_are_a_fault_or_change_nothing(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path), "")
    reserve(store)
    store.close()
    good = (tmp_path / "state.db").read_bytes()
    unexpected = []
    for at in range(0, len(good), 211):
        (tmp_path / "state.db").write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        try:
            store = Store.open(url_of(tmp_path), "")
            unexpected += [] if count(store) == 1 else [at]
            store.close()
        except (Fault, UsageError) as error:
            unexpected += [] if error.reason_code.startswith("state.") else [at]
    assert unexpected == []
