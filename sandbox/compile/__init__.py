"""Specs -> contracts, property files -> properties; or refusals with file, line and column."""

from __future__ import annotations

from sandbox.compile.contract import load_contract
from sandbox.compile.lint import lint
from sandbox.compile.properties import PropertySet, load_properties

__all__ = ["PropertySet", "lint", "load_contract", "load_properties"]
