"""What every test shares: how Hypothesis searches, where container tests run, and that they leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from types import FrameType

import coverage
import docker
import pytest
from docker.errors import DockerException
from forkkit import forked, loaded
from hypothesis import HealthCheck, settings
from leftkit import left_behind

from sandbox import engines

__all__ = ["forked", "loaded"]  # fixtures

TRACED = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")  # what tells a process to trace itself
DEEP_FACTOR = 6  # how many times more examples `make deep` searches than `make test`, where a test says nothing else
os.environ["SANDBOX_CACHE"] = "off"  # what a test shows was shown now
TEST_SECONDS = 180  # a test that hangs fails at this time and says where; the slowest takes a third of it
HEAVY_TEST_SECONDS = 3_600  # the same, of one that builds images, or runs a suite of its own
LONG_TEST_SECONDS = 6 * 3_600  # the same, of the long runs: 140,000 expressions take 20 minutes of a processor

REPEATABLE = settings(deadline=None, print_blob=True, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", REPEATABLE)
settings.register_profile("deep", REPEATABLE, derandomize=False, max_examples=100 * DEEP_FACTOR + 1)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Container tests take turns in one worker; deep tests run, and every search is longer, in `make deep` only."""
    deep = config.getoption("hypothesis_profile") == "deep"
    if not deep:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("deep")])
        items[:] = [item for item in items if not item.get_closest_marker("deep")]
    if config.getoption("-m") != "adapters":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("adapters")])
        items[:] = [item for item in items if not item.get_closest_marker("adapters")]
    if deep:
        for test, factor in {getattr(item, "obj", None): deep_factor(item) for item in items}.items():
            search_longer(test, factor)  # once a test: its cases share it
    for item in items:
        if item.get_closest_marker("containers"):
            item.add_marker(pytest.mark.xdist_group("containers"))


def search_longer(test: object, factor: int) -> None:
    """Multiplies the examples of a test that set its own number, which a profile would not reach."""
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples != settings.get_profile("deep").max_examples:
        longer = settings(own, max_examples=own.max_examples * factor, derandomize=False)
        test._hypothesis_internal_use_settings = longer  # type: ignore[attr-defined]  # just read


def deep_factor(item: pytest.Item) -> int:
    """How many times more examples: what `@pytest.mark.deep_factor` says, else as many as all others."""
    own = item.get_closest_marker("deep_factor")
    return DEEP_FACTOR if own is None else own.args[0]


@pytest.fixture
def longer(request: pytest.FixtureRequest) -> int:
    """How many times more a search without Hypothesis looks at: 1, and in `make deep` what its `deep_factor` says."""
    return deep_factor(request.node) if request.config.getoption("hypothesis_profile") == "deep" else 1


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Ends what traced a worker from its start: what pytest-cov starts next is all that `no_cover` stops."""
    if hasattr(session.config, "workerinput"):
        while (tracer := coverage.Coverage.current()) is not None:
            tracer.stop()


@pytest.fixture(autouse=True)
def children_untraced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither are processes that a `no_cover` test starts traced, nor ever solvers: killed, they keep no trace."""
    monkeypatch.setattr(engines, "spawn", untraced(engines.spawn))
    if request.node.get_closest_marker("no_cover") is not None:
        for name in TRACED:
            monkeypatch.delenv(name, raising=False)


def untraced(start: Callable[..., object]) -> Callable[..., object]:
    """The same start of a process, which is told of no tracing. Others may start theirs meanwhile."""

    def started(*words: str) -> object:
        kept = {name: value for name in TRACED if (value := os.environ.pop(name, None)) is not None}
        try:
            return start(*words)
        finally:
            os.environ.update(kept)

    return started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Ends a test that hangs, with the place where it waits."""
    deep = item.config.getoption("hypothesis_profile") == "deep"
    before = signal.signal(signal.SIGALRM, too_late)
    heavy = item.get_closest_marker("adapters") is not None
    signal.alarm(LONG_TEST_SECONDS if deep else HEAVY_TEST_SECONDS if heavy else TEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def too_late(_number: int, _frame: FrameType | None) -> None:
    pytest.fail(f"the test did not end within {TEST_SECONDS} s")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The real Docker engine. A machine without one fails the test: what was not run is not shown."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.fail(f"no Docker engine answers ({error}): run `make setup`")
    yield client
    client.close()


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[str]:
    """After a container test no container that belongs to this process is there, running or stopped."""
    if request.node.get_closest_marker("containers") is None:
        yield ""
        return
    engine: docker.DockerClient = request.getfixturevalue("engine")
    yield "looked after"
    left = left_behind(engine)
    assert not left, f"containers were left behind: {left}"
