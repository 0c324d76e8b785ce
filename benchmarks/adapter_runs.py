"""One adapter's runs, in its own environment: `python adapter_runs.py NAME` prints milliseconds of each as JSON.

Plain, allowed and denied runs take turns, so that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figures import timed

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "adapters")]

RUNS = 40
WARM = 3
FEWEST = 5
LONGEST_S = 60
"""After which no further runs are begun: some frameworks start a process for each."""
SPEC = """\
sandbox: 1
name: noop
tools:
  noop:
    description: Does nothing.
    args: {n: {type: int, min: 0, max: 100}}
    rules: [{id: small, allow: args.n <= 50}]
    run: {host: measured here}
"""


def noop(n: int) -> str:
    """Does nothing."""
    return str(n)


def main() -> None:
    """Takes the times."""
    from suite import Made  # noqa: PLC0415  # of the tests' own folder

    from sandbox.gate import Gate  # noqa: PLC0415  # in the adapter's environment

    module = importlib.import_module(f"test_{sys.argv[1].replace('-', '_')}")
    with tempfile.TemporaryDirectory() as folder, driver_of(module) as driver:
        spec = Path(folder) / "noop.yaml"
        spec.write_text(SPEC)
        with Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate, contextlib.redirect_stdout(io.StringIO()):
            held = driver.tools(gate, [own_of(module, driver)])
            plain = [plain_of(module, driver)]
            cases = {
                "a plain tool of the framework's": (plain, 1),
                "allowed, behind the gate": (held, 1),
                "denied by the gate": (held, 60),
            }
            times: dict[str, list[float]] = {name: [] for name in cases}
            began = time.monotonic()
            for number in range(RUNS + WARM):
                if number >= FEWEST + WARM and time.monotonic() - began > LONGEST_S:
                    break
                for name, (tools, n) in cases.items():
                    spent = timed(run_of(driver, tools, Made(json.dumps({"n": n}), "noop")))
                    if number >= WARM:
                        times[name].append(spent)
    print(json.dumps(times))


def run_of(driver: Any, tools: list[object], made: object) -> Callable[[], object]:  # noqa: ANN401  # a test's driver
    """A run with this one call."""
    if len(tools) == 1 and type(tools[0]).__name__ == "ClientSession":  # the raw one stays in its own loop
        return lambda: driver.loop.run(driver.start(tools, [[made]]))
    return lambda: driver.run(tools, [[made]], driver.ways[0])


@contextlib.contextmanager
def driver_of(module: Any) -> Iterator[Any]:  # noqa: ANN401  # a test's module
    """The test's driver of this framework."""
    (kind,) = (each for name, each in vars(module).items() if name.endswith("Driver") and name != "Driver")
    if not hasattr(module, "Loop"):
        yield kind()
        return
    loop = module.Loop()
    yield kind(loop)
    loop.close()


def own_of(module: Any, driver: Any) -> object:  # noqa: ANN401  # as above
    """The framework's own tool around a function that does nothing."""
    if not hasattr(module, "ToolDef"):
        return driver.own_tool(noop, "noop")

    async def asynchronous(n: int) -> str:
        return noop(n)

    return module.ToolDef(asynchronous, "noop", "Does nothing.", {"n": "a number"}).as_tool()


def plain_of(module: Any, driver: Any) -> object:  # noqa: ANN401  # as above
    """The framework's own tool; of MCP, a session with a server that has it."""
    tool = own_of(module, driver)
    if hasattr(module, "FunctionToolset"):
        return module.FunctionToolset([tool])
    return driver.loop.session(tool) if hasattr(module, "Loop") else tool


if __name__ == "__main__":
    main()
