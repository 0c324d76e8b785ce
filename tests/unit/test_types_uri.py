"""URIs of resources: those that every reader takes alike, and no other text."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.uris import MAX_URI, is_one_reading


@pytest.mark.parametrize(
    "text",
    [
        "memo://insights",
        "memo://insights/",
        "file:///workspace/notes/a.txt",
        "file:///workspace/a%20b%C3%A9.txt",
        "https://example.org/a/b?c=d&e=../f",
        "github://Owner/Repo/contents",
        "https://example.org:8443/a%C3%A9",
        "memo://a:1/%E2%80%A6",
        "db://table/orders;limit=5",
        "urn:isbn:0451450523",
        "x:a",
        "note+v1.2:///a",
        "memo://a/...",
        "a:" + "b" * (MAX_URI - 2),
    ],
)
def test_a_uri_in_its_normal_form_is_read(text: str) -> None:
    assert is_one_reading(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memo",
        "memo:",
        "//insights",
        "/etc/passwd",
        "MEMO://insights",
        "1a:b",
        "memo://insights#top",
        "memo://ann@insights",
        "memo://insights/a b",
        "memo://insights/\\a",
        "memo://insights/é",
        "memo://insights/\x00",
        "memo://insights\n",
        "memo://insights/\u202e",
        "memo://a/../b",
        "memo://a/..",
        "memo://a/./b",
        "memo://../b",
        "memo://./b",
        "memo://..",
        "memo://..;x/b",
        "memo:..",
        "memo:../a",
        "memo:./a",
        "memo://a/..;x/b",
        "memo://a//b",
        "memo:////a",
        "file:////etc/passwd",
        "file:/etc/passwd",
        "file://localhost/etc/passwd",
        "memo://a/%2e%2e/b",
        "memo://a/%2E%2E/b",
        "memo://a/..%2fb",
        "memo://a/..%2Fb",
        "memo://a/%5C..",
        "memo://a/%252e",
        "memo://a/%00",
        "memo://a/%0A",
        "memo://a/%7F",
        "memo://a/%41",
        "memo://a/%3F",
        "memo://a/%23",
        "memo://a/%3B",
        "memo://a/%e9",
        "memo://a/%",
        "memo://a/%2",
        "memo://a/%zz",
        "file:///workspace/%C0%AE%C0%AE/etc/passwd",
        "memo://a/%C0%AF",
        "memo://a/%FF",
        "memo://a/%EF%BC%8E%EF%BC%8E/b",
        "memo://a/..%EF%BC%8Fb",
        "memo://%E2%80%A5/b",
        "memo:%C0%AE%C0%AE",
        "memo://a:/b",
        "http://EXAMPLE.org/a",
        "http://example.org:80/a",
        "https://example.org",
        "http://0x7f.1/a",
        "http://%C3%A9.example/a",
        "a:" + "b" * (MAX_URI - 1),
    ],
)
def test_what_two_readers_could_take_differently_is_not_read(text: str) -> None:
    assert not is_one_reading(text)


@given(st.from_regex(r"(file|memo):(///?)?([a.;%/]|%2[EF5]|\.\.){0,12}", fullmatch=True))
def test_a_path_means_the_same_however_often_it_is_decoded_and_tidied(text: str) -> None:
    if is_one_reading(text):
        path = urlsplit(text).path
        assert unquote(unquote(path)) == unquote(path)
        assert posixpath.normpath(unquote(path) or ".").rstrip("/.") == unquote(path).rstrip("/.")
