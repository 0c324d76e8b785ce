"""E-mail addresses: one plain `local@domain`, the domain in lower-case ASCII."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sandbox.call import Rejected

if TYPE_CHECKING:
    from sandbox.call import Value

MAX_EMAIL: Final = 254
"""Characters of an address (RFC 5321, section 4.5.3.1.3, with the brackets taken off)."""


def parse_email(text: str) -> Mapping[str, Value] | Rejected:
    """Both parts of an address; the local part keeps its case, for its host may tell cases apart."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # only specs with addresses need it

    if len(text) > MAX_EMAIL or not text.isprintable():
        return _refused()
    try:
        found = validate_email(
            text, check_deliverability=False, globally_deliverable=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError:
        return _refused()
    local, domain = found.local_part, found.ascii_domain
    if not domain or local.lower() != text.rpartition("@")[0].lower() or domain != domain.lower():
        return _refused()
    return MappingProxyType({"local": local, "domain": domain})


def show_email(parts: Mapping[str, Value]) -> str:
    """The canonical text."""
    return f"{parts['local']}@{parts['domain']}"


def _refused() -> Rejected:
    accepted = "one address local@domain, its local part plain ASCII, without quotes, comments and display name,"
    return Rejected("parse.email", f"this is not accepted; {accepted} is")
