"""Unit: e-mail addresses. What is accepted, and its canonical text; what is refused, and with which code."""

from __future__ import annotations

import pytest
from typed_calls import canonical, misjudged, value_of

from sandbox.emails import MAX_EMAIL
from sandbox.ir import EmailType

EMAIL = EmailType()
LONGEST = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.org"

ACCEPTED = [
    ("a@b.org", "a@b.org"),
    ("Ann.Lee@EXAMPLE.org", "Ann.Lee@example.org"),
    ("a+tag@b.org", "a+tag@b.org"),
    ("a_b-c@b.org", "a_b-c@b.org"),
    ("1@b.org", "1@b.org"),
    ("o'brien@b.org", "o'brien@b.org"),
    ("#$&*/^`{|}~?@b.org", "#$&*/^`{|}~?@b.org"),
    ("a=b@b.org", "a=b@b.org"),
    ("a@b", "a@b"),
    ("a@b.test", "a@b.test"),
    ("a@b-c.d-e.org", "a@b-c.d-e.org"),
    ("a@1.org", "a@1.org"),
    ("a@1a", "a@1a"),
    ("a@faß.de", "a@xn--fa-hia.de"),
    ("a@xn--fa-hia.de", "a@xn--fa-hia.de"),
    ("a@\uff22\uff23.org", "a@bc.org"),
    ("a@b\u3002org", "a@b.org"),
    ("POSTMASTER@b.org", "postmaster@b.org"),
    ("postmaster@b.org", "postmaster@b.org"),
    (LONGEST, LONGEST),
]


@pytest.mark.parametrize(("raw", "expected"), ACCEPTED)
def test_an_address_has_one_canonical_text(raw: str, expected: str) -> None:
    assert canonical(EMAIL, raw) == expected
    assert canonical(EMAIL, expected) == expected
    local, _, domain = expected.rpartition("@")
    assert value_of(EMAIL, raw) == {"local": local, "domain": domain}


REFUSED = [
    *("", "@", "a", "a@", "@b.org", "a@@b.org", "a@b@c.org", "b.org", "a b.org", "a(at)b.org"),
    *('"a"@b.org', '"a b"@c.org', '"a@b"@c.org', "a(c)@b.org", "a@(c)b.org", "(c)a@b.org", "a@b.org(c)"),
    *(
        "Ann <a@b.org>",
        "<a@b.org>",
        "Ann a@b.org",
        "a@b.org, c@d.org",
        "a@b.org;c@d.org",
        "a@b.org c@d.org",
        "g:a@b.org;",
    ),
    *("mailto:a@b.org", "a@b.org?subject=x", "a@b.org/x", "a@b.org:25", "a@b.org#x", "@x.org:a@b.org"),
    *("a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1", "a@127.1", "a@1", "a@b.1", "a@0x7f000001", "a@b.0x1", "a@::1"),
    *(" a@b.org", "a@b.org ", "a @b.org", "a@ b.org", "a@b.org\n", "a\n@b.org", "a@b.org\r\nBcc: c@d.org", "a\t@b.org"),
    *(
        "a@b.org\u00a0",
        "a\u200b@b.org",
        "a@\u202eb.org",
        "\ufeffa@b.org",
        "a\x7f@b.org",
        "a@b\u00ad.org",
        "a@b\u2028.org",
    ),
    *(".a@b.org", "a.@b.org", "a..b@c.org", "a@.b.org", "a@b..org", "a@b.org.", "a@b.org\u3002", "a@.", "a@b."),
    *("a@-b.org", "a@b-.org", "a@b_c.org", "a@b,c.org", "a@b!c", "a@b%c", "a@b/c", "a@b$c", "a@b+c.org", "a@b'c.org"),
    *("a,b@c.org", "a;b@c.org", "a:b@c.org", "a\\b@c.org", "a\\@b@c.org", "a[b@c.org", "a<b@c.org", "a>b@c.org"),
    *("c%d.org@b.org", "d.org!c@b.org", "=?utf-8?q?a=40c.org?=@b.org", "=?x?q?=41?=foo@b.org", "-oQ/tmp@b.org"),
    *(
        "ü@b.org",
        "\u0430@b.org",
        "a\u0301@b.org",
        "日本@b.org",
        "a\uff20b.org",
        "\uff41@b.org",
        "a@xn--a.org",
        "a@xn--",
    ),
    *("a@localhost", "a@b.local", "a@b.invalid", "a@b.onion", "a@1.0.0.127.in-addr.arpa"),
    *(
        f"{'a' * 65}@b.org",
        f"a@{'b' * 64}.org",
        f"a@{'b.' * 126}org",
        "a" * (MAX_EMAIL + 1),
        LONGEST.replace("d.", "dd."),
    ),
    *(f"a@{'é' * 60}.{'é' * 60}.{'é' * 60}.{'é' * 60}.org", "a" * 4_096, '"' * 254, "<" * 120 + "a@b.org" + ">" * 120),
]


HOSTILE = [
    *((raw, "parse.email") for raw in REFUSED),
    *((raw, "parse.type") for raw in (1, False, ["a@b.org"], {"local": "a", "domain": "b.org"})),
    *((None, "parse.null"), ("a\0@b.org", "parse.unicode"), ("a@b\ud800.org", "parse.unicode")),
    ("\U000e0061@b.org", "parse.unicode"),
]


def test_what_two_mailers_could_take_differently_is_refused() -> None:
    assert misjudged(EMAIL, HOSTILE) == []


def test_parts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        value_of(EMAIL, "a@b.org")["domain"] = "evil.org"
