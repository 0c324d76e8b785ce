"""Property files as tests: `pytest proofs/payments.yaml`, or the ini option `sandbox_proofs` for files and folders.

One test a property; only `proved` passes. Costs nothing where there is none: the prover loads with the first test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from sandbox.prove.report import PropertyReport

INI_OPTION: Final = "sandbox_proofs"
SUFFIXES: Final = frozenset({".yaml", ".yml"})


class NotProved(Exception):
    """A property whose verdict is not `proved`; the message is the report in words."""


class PropertyFile(pytest.File):
    """One property file. It is proved once, when its first test runs, for proofs rest on each other."""

    def collect(self) -> Iterator[PropertyItem]:
        """A test for each property, spec by spec."""
        from sandbox.compile import load_properties  # noqa: PLC0415  # the parsers load only for a property file

        for each in load_properties(self.path):
            for subject in each.properties:
                name = f"{each.contract.name}/{subject.id}"
                yield PropertyItem.from_parent(self, name=name, line=subject.place.line)

    def reports(self) -> Mapping[str, PropertyReport]:
        """What the prover says of every property of the file, by the test's name."""
        if self._reports is None:
            from sandbox.prove.run import ProveOptions, prove_paths  # noqa: PLC0415  # the solvers load with the first test

            found = prove_paths([self.path], ProveOptions(mend=True)).properties
            self._reports = {f"{report.spec}/{report.subject.id}": report for report in found}
        return self._reports

    _reports: Mapping[str, PropertyReport] | None = None


class PropertyItem(pytest.Item):
    """One property."""

    def __init__(self, *, name: str, parent: PropertyFile, line: int) -> None:
        super().__init__(name, parent)
        self._file = parent
        self._line = line

    def runtest(self) -> None:
        """Raise NotProved unless the property is proved."""
        from sandbox.prove.report import property_words  # noqa: PLC0415  # as above
        from sandbox.prove.verdicts import Proved  # noqa: PLC0415  # as above

        report = self._file.reports()[self.name]
        if not isinstance(report.verdict, Proved):
            raise NotProved("\n".join(property_words(report)))

    def repr_failure(  # type: ignore[override]  # the inherited result is a union of private types
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> object:
        """The report in words, for a property that is not proved."""
        if isinstance(excinfo.value, NotProved):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line from 0, and name."""
        return self.path, self._line - 1, f"property {self.name}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini option."""
    parser.addini(INI_OPTION, "property files, and folders of them, to be collected as tests", type="paths", default=[])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PropertyFile | None:
    """A property file that was named, on the command line or in the ini option."""
    if file_path.suffix not in SUFFIXES or not _is_named(file_path, parent.config):
        return None
    collected: PropertyFile = PropertyFile.from_parent(parent, path=file_path)
    return collected


def _is_named(path: Path, config: pytest.Config) -> bool:
    given = {(config.invocation_params.dir / word.partition("::")[0]).resolve() for word in config.args}
    listed = {Path(each).resolve() for each in config.getini(INI_OPTION)}
    own = path.resolve()
    return own in given or own in listed or own.parent in listed
