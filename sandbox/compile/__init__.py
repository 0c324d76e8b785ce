"""Specs -> contracts, property files -> properties; or refusals with file, line and column."""

from __future__ import annotations

from sandbox.compile.contract import load_contract
from sandbox.compile.lint import lint
from sandbox.compile.policy import SpecPaths, lint_ceilings, load_policy
from sandbox.compile.properties import PropertySet, load_properties

__all__ = ["PropertySet", "SpecPaths", "lint", "lint_ceilings", "load_contract", "load_policy", "load_properties"]
