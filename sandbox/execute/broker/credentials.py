"""The secrets of grants, read on the host when a call starts; only the broker's process is told them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from sandbox.errors import EnvironmentLacking
from sandbox.ir import Contract, Credential, NetworkGrant

MAX_SECRET: Final = 8 * 1024
"""Characters; what a header holds."""

MIN_SECRET: Final = 8
"""Characters; a shorter one would be found in answers that do not hold it."""

_SECRET: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def read_secrets(contract: Contract, grants: tuple[NetworkGrant, ...]) -> tuple[str | None, ...]:
    """The secret of each grant, None where it has no credential.

    Raises:
        EnvironmentLacking: a variable or file is missing, or holds no secret that fits into a header.
    """
    return tuple(None if grant.credential is None else _secret(contract, grant.credential) for grant in grants)


def _secret(contract: Contract, credential: Credential) -> str:
    where, text = _from_variable(credential.place) if credential.kind == "env" else _from_file(contract, credential)
    text = text.removesuffix("\n").removesuffix("\r")
    if not MIN_SECRET <= len(text) <= MAX_SECRET or not _SECRET.fullmatch(text):
        message = f"the credential in {where} is no line of {MIN_SECRET} to {MAX_SECRET} visible ASCII characters"
        raise EnvironmentLacking(message, "environment.credential")
    return text


def _from_variable(name: str) -> tuple[str, str]:
    value = os.environ.get(name)
    if value is None:
        message = f"the credential's variable `{name}` is not set: export it where the gate runs"
        raise EnvironmentLacking(message, "environment.credential")
    return f"the variable `{name}`", value


def _from_file(contract: Contract, credential: Credential) -> tuple[str, str]:
    path = Path(contract.file).parent / credential.place
    try:
        with path.open(encoding="ascii") as file:
            return f"`{path}`", file.read(MAX_SECRET + 3)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        message = f"the credential's file `{path}` cannot be read: {what}"
        raise EnvironmentLacking(message, "environment.credential") from error
