"""E-mail addresses: one plain `local@domain` that every mailer takes alike, the domain in lower-case ASCII.

`email-validator` does the reading, IDNA with it. Refused beyond what it refuses: local parts that some mailers route
(`%`, `!`), decode (`=?...?=`) or take for an option (a leading `-`), and domains that some take for an IP address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sandbox.call import Rejected

if TYPE_CHECKING:
    from sandbox.call import Value

MAX_EMAIL: Final = 254
"""Characters of an address (RFC 5321, section 4.5.3.1.3, with the brackets taken off)."""

_LOCAL: Final = re.compile(r"(?!-)(?!.*=\?)[A-Za-z0-9#$&'*+/=?^_`{|}~.-]+")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9-]+\.)*(?![0-9]+\Z|0x)[a-z0-9-]+")


def parse_email(text: str) -> Mapping[str, Value] | Rejected:
    """Both parts of an address; the local part keeps its case, but for the names of RFC 2142 (`postmaster`)."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # only specs with addresses need it

    if len(text) > MAX_EMAIL or not text.isprintable():
        return _refused()
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,  # `.test` is a domain like any other
            allow_smtputf8=False,
            strict=True,
        )
    except EmailNotValidError:
        return _refused()
    local, domain = found.local_part, found.ascii_domain or ""
    if not (_LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)) or len(local) + len("@") + len(domain) > MAX_EMAIL:
        return _refused()
    return MappingProxyType({"local": local, "domain": domain})


def show_email(parts: Mapping[str, Value]) -> str:
    """The canonical text."""
    return f"{parts['local']}@{parts['domain']}"


def _refused() -> Rejected:
    accepted = "one address local@domain, its local part plain ASCII, without quotes, comments and display name,"
    return Rejected("parse.email", f"this is not accepted; {accepted} is")
