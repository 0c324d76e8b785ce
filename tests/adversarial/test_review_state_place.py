"""A folder in which others may make files: what they put beside the database, SQLite would read into it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sandbox import state_file
from sandbox.errors import UsageError
from sandbox.state import Store

NAIVE_SCHEMA = f"PRAGMA wal_autocheckpoint = 0; {state_file._SCHEMA} VACUUM;"


def plant(beside: Path, folder: Path) -> None:
    """A write-ahead log that holds a whole other database: the kill switch off, and every budget fresh."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "other.db", isolation_level=None)) as connection:
        connection.executescript(NAIVE_SCHEMA)
        shutil.copy(folder / "other.db-wal", beside.with_name(f"{beside.name}-wal"))


def stopped(url: str) -> bool:
    store = Store.open(url, "")
    try:
        with store.transaction() as transaction:
            return transaction.stopped()
    finally:
        store.close()


@pytest.mark.parametrize("mode", [0o1777, 0o1770, 0o777, 0o770])
def test_a_log_that_somebody_planted_is_never_read(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "place"
    database = place / "state.db"
    url = f"sqlite:///{database}"
    store = Store.open(url, "")
    with store.transaction() as transaction:
        transaction.stop()
    store.close()
    assert stopped(url)
    place.chmod(mode)
    plant(database, tmp_path / "theirs")
    with pytest.raises(UsageError) as caught:
        stopped(url)
    assert caught.value.reason_code == "state.place"


def test_the_same_log_would_turn_the_kill_switch_off(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    store = Store.open(f"sqlite:///{database}", "")
    with store.transaction() as transaction:
        transaction.stop()
    store.close()
    plant(database, tmp_path / "theirs")
    assert not stopped(f"sqlite:///{database}")  # by who may write there, which is then the owner alone
