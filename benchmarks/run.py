"""Takes the figures, prints them as a table, and writes them as JSON where `--json` says.

Times are of this machine and this moment; what can be compared between machines is the ratios, which stand in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from figures import table

GROUPS = (
    "decisions",
    "worst",
    "limits",
    "containers",
    "pool",
    "workspaces",
    "network",
    "starts",
    "proofs",
    "forms",
    "gateway",
)

LONG = ("scale", "gvisor", "adapters")
"""Taken only where they are named: minutes each; gVisor is not everywhere, nor are the frameworks' packages."""


def main() -> int:
    """Runs the groups that were asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "groups", nargs="*", choices=[[], *GROUPS, *LONG], metavar="GROUP", help=", ".join((*GROUPS, *LONG))
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures as JSON")
    asked = parser.parse_args()
    figures = [figure for name in asked.groups or GROUPS for figure in import_module(name).figures()]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}\n{table(figures)}")
    if asked.json:
        document = {"schema_version": 1, "machine": machine, "figures": [asdict(figure) for figure in figures]}
        asked.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
