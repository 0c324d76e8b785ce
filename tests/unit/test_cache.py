"""The cache: it gives back what this user put there, whole, under the very same key; and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sandbox import cache
from sandbox.cache import Cache, in_ci, key_of

VALUE = {"found": "holds", "note": ""}


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    kept = Cache(tmp_path / "cache")
    kept.put("k", VALUE)
    return kept


def entry(store: Cache) -> Path:
    return store.folder / "k.json"


def test_what_was_put_is_got_in_a_folder_of_the_user_alone(store: Cache) -> None:
    assert store.get("k") == VALUE
    assert store.get("other") is None
    assert (store.folder.stat().st_mode & 0o777, entry(store).stat().st_mode & 0o777) == (0o700, 0o600)
    assert [each.name for each in store.folder.iterdir()] == ["k.json"]


def test_a_value_that_was_changed_or_is_of_another_key_is_not_believed(store: Cache) -> None:
    text = entry(store).read_text()
    (store.folder / "other.json").write_text(text)
    assert store.get("other") is None
    for wrong in (
        text.replace("holds", "shown"),
        text[:-2],
        "[]",
        "[" * 100_000,
        '{"key": "k", "value": 1, "sum": ""}',
    ):
        entry(store).write_text(wrong)
        assert store.get("k") is None


def test_a_file_that_others_may_write_is_not_believed(store: Cache) -> None:
    entry(store).chmod(0o620)
    assert store.get("k") is None
    entry(store).chmod(0o602)
    assert store.get("k") is None
    entry(store).chmod(0o600)
    assert store.get("k") == VALUE


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_not_used(store: Cache, mode: int) -> None:
    store.folder.chmod(mode)
    store.put("more", VALUE)
    assert (store.get("k"), (store.folder / "more.json").exists()) == (None, False)


def test_what_another_user_wrote_is_not_believed(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert store.get("k") is None


def test_links_pipes_and_giants_are_not_believed(store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    entry(store).rename(elsewhere)
    entry(store).symlink_to(elsewhere)
    assert store.get("k") is None
    entry(store).unlink()
    os.mkfifo(entry(store))
    assert store.get("k") is None
    entry(store).unlink()
    elsewhere.rename(entry(store))
    assert Cache(link(tmp_path / "link", store.folder)).get("k") is None
    monkeypatch.setattr(cache, "MAX_ENTRY", 10)
    assert store.get("k") is None
    store.put("large", VALUE)
    assert not (store.folder / "large.json").exists()


def link(path: Path, to: Path) -> Path:
    path.symlink_to(to)
    return path


def test_a_cache_that_cannot_be_written_keeps_nothing_and_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Cache(tmp_path / "file" / "cache")
    store.put("k", VALUE)
    assert store.get("k") is None


def test_the_oldest_entries_go(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 4)
    os.utime(entry(store), (1, 1))
    for number in range(4):
        store.put(f"n{number}", number)
    assert store.get("k") is None
    assert store.get("n3") == 3
    assert len(list(store.folder.iterdir())) == 2


def test_a_key_has_in_it_all_that_a_value_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(question=1)
    assert key == key_of(question=1)
    assert len({key, key_of(question=2), key_of(other=1)}) == 3
    with monkeypatch.context() as patch:
        patch.setattr(cache, "package_digest", lambda: "other sources")
        assert key_of(question=1) != key
    with monkeypatch.context() as patch:
        patch.setattr(cache, "version", lambda _: "0")
        assert key_of(question=1) != key
    with monkeypatch.context() as patch:
        patch.setattr(cache.platform, "python_version", lambda: "0")
        assert key_of(question=1) != key


def test_every_source_of_the_package_is_in_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest() -> str:
        cache.package_digest.cache_clear()
        return cache.package_digest()

    (tmp_path / "deep").mkdir()
    for name in ("cache.py", "deep/one.py", "deep/grammar.lark"):
        (tmp_path / name).write_text("a")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    seen = {digest()}
    for name in ("cache.py", "deep/one.py", "deep/grammar.lark"):
        (tmp_path / name).write_text("b")
        seen.add(digest())
    (tmp_path / "more.py").touch()
    assert len({*seen, digest()}) == 5
    cache.package_digest.cache_clear()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "~/.cache/sandbox"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/sandbox"),
        ({"SANDBOX_CACHE": "/here"}, "/here"),
        ({"SANDBOX_CACHE": "off"}, None),
        ({"CI": "true"}, None),
        ({"CI": "1", "XDG_CACHE_HOME": "/x"}, None),
        ({"CI": "false"}, "~/.cache/sandbox"),
        ({"CI": "true", "SANDBOX_CACHE": "/here"}, "/here"),
    ],
)
def test_where_it_is_and_where_there_is_none(environment: dict[str, str], folder: str | None) -> None:
    found = Cache.of_user(environment)
    assert found == (None if folder is None else Cache(Path(folder).expanduser()))


def test_ci_says_so_of_itself() -> None:
    assert [in_ci({"CI": said}) for said in ("true", "1", "yes", "", "0", "False")] == [True] * 3 + [False] * 3


def test_an_entry_is_plain_json(store: Cache) -> None:
    assert json.loads(entry(store).read_text())["value"] == VALUE
