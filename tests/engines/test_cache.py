"""Compiled engines on disk."""

import json
import logging
import multiprocessing
import sys
import time

import pytest

from engines import CacheError, cache
from engines.cache import EngineCache, cache_key

FACTS = {"backend": "fake", "weights": "abc", "shape": (2, 48, 64)}


@pytest.fixture
def engines(tmp_path):
    return EngineCache(tmp_path / "cache")


def test_what_was_saved_is_loaded(engines):
    engines.save(cache_key(FACTS), b"engine", FACTS, {"golden": "deadbeef"})

    assert engines.load(cache_key(FACTS)) == (b"engine", {"golden": "deadbeef"})


def test_the_key_depends_on_every_fact_but_not_on_their_order():
    key = cache_key(FACTS)

    assert key.startswith("fake-")
    assert cache_key(dict(reversed(FACTS.items()))) == key
    assert cache_key(FACTS | {"weights": "abd"}) != key
    assert cache_key(FACTS | {"driver": "1"}) != key


def test_an_unknown_key_is_a_silent_miss(engines, caplog):
    assert engines.load(cache_key(FACTS)) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".bin", b"engin"), (".json", b"{"), (".json", b"[]"), (".json", b'{"schema": 0}'), (".json", b"[" * 200_000)],
    ids=["truncated", "half a record", "strange record", "older schema", "bottomless record"],
)
def test_a_damaged_entry_is_a_miss_logged_once_and_dropped(suffix, content, engines, caplog):
    key = cache_key(FACTS)
    engines.save(key, b"engine", FACTS)
    (engines.folder / f"{key}{suffix}").write_bytes(content)

    with caplog.at_level(logging.WARNING):
        assert engines.load(key) is None
        assert engines.load(key) is None

    assert len(caplog.records) == 1
    assert "building it again" in caplog.text
    assert not list(engines.folder.glob(f"{key}.[bj]*"))


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    engines = EngineCache(tmp_path / "file")

    with pytest.raises(CacheError, match="choose another cache folder"):
        engines.save(cache_key(FACTS), b"engine", FACTS)
    with pytest.raises(CacheError, match="choose another cache folder"), engines.building(cache_key(FACTS)):
        pass


def test_saving_leaves_no_temporary_file_and_tells_what_the_key_stands_for(engines):
    key = cache_key(FACTS)

    engines.save(key, b"engine", FACTS)

    assert sorted(path.name for path in engines.folder.iterdir()) == [f"{key}.bin", f"{key}.json"]
    assert json.loads((engines.folder / f"{key}.json").read_bytes())["facts"]["weights"] == "abc"


@pytest.mark.parametrize("written", [0, 1], ids=["weights", "record"])
def test_a_save_that_breaks_off_leaves_what_was_there(written, engines, monkeypatch):
    key, calls = cache_key(FACTS), []
    engines.save(key, b"engine", FACTS)

    def full(_):
        calls.append(1)
        if len(calls) > written:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("engines.files.os.fsync", full)
    with pytest.raises(CacheError, match="No space left on device; free some space"):
        engines.save(key, b"newer", FACTS)

    assert not list(engines.folder.glob("*.tmp"))
    assert engines.load(key) in ((b"engine", {}), None)  # never the old record with the new bytes


def test_the_oldest_entries_go_when_the_folder_is_full(tmp_path):
    engines = EngineCache(tmp_path, max_bytes=25)
    for i in range(4):
        engines.save(cache_key(FACTS | {"i": i}), b"0123456789", FACTS)
        time.sleep(0.01)

    assert [engines.load(cache_key(FACTS | {"i": i})) is not None for i in range(4)] == [False, False, True, True]


def build(folder, built):
    engines, key = EngineCache(folder), cache_key(FACTS)
    with engines.building(key):
        if engines.load(key) is None:
            with built.get_lock():
                built.value += 1
            time.sleep(0.2)
            engines.save(key, b"engine", FACTS)


def test_of_several_processes_one_builds_and_the_others_find_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    built = context.Value("i", 0)
    processes = [context.Process(target=build, args=(tmp_path, built)) for _ in range(3)]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert built.value == 1


def test_the_default_folder_is_the_users_own(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.default_folder().is_relative_to(cache.Path.home())


def test_it_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "catchlight"


@pytest.mark.skipif(sys.platform == "win32", reason="another kind of lock")
def test_a_folder_on_a_file_system_without_locks_costs_the_cache_only(engines, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(cache.fcntl, "flock", no_locks)

    assert engines.obtain(FACTS, lambda: (b"engine", {}), lambda blob, _: blob) == b"engine"
    assert "cannot lock" in caplog.text
