"""A server's result on its way to a model: bounded, of the kinds that the spec grants, and with nothing hidden in it.

Text keeps its lines and its letters; what a terminal would act on and what a reader would not see stands as an
escape: control characters, bidirectional and zero-width marks, tags and other invisible carriers of text.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.canonical import escaped
from sandbox.ir import ContentKind, Json
from sandbox.mcp.wire import dumps
from sandbox.strict_json import JsonNumber, Tree

MAX_ITEMS: Final = 64
"""Content blocks of one result; a server that has more to say can join them."""
MAX_TYPE: Final = 100
"""Characters of a media type."""

_MEDIA_TYPE: Final = re.compile(r"(image|audio)/[a-z0-9][a-z0-9.+-]*")
_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line ends and tabs; the two joiners, which Persian, Hindi and composed emoji are written with."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_CARRIERS: Final = re.compile("[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef]")
"""Letters that look empty, and variation selectors of which a run can carry any text."""


class Unfit(Exception):
    """The result is none that may be passed on; the text says why, for the model."""


def clean_text(text: str) -> str:
    """The text with every hidden character as its escape; carriage returns before a line end are dropped."""
    plain = text.replace("\r\n", "\n")
    if plain.isascii() and plain.replace("\n", "").replace("\t", "").isprintable():
        return plain
    return "".join(_shown(character) for character in plain)


def clean_result(result: Tree, kinds: Sequence[ContentKind], limit: int) -> tuple[dict[str, Json], bool]:
    """What of a `tools/call` result may be passed on, and whether the tool says that it failed.

    `limit` is in bytes of everything that is passed on. Blocks of a kind that is not granted are named and left out.

    Raises:
        Unfit: no result of the protocol, too large, or too many blocks.
    """
    if not isinstance(result, dict) or not isinstance(result.get("content", []), list):
        message = "the server's answer is no tool result"
        raise Unfit(message)
    if result.get("resultType", "complete") != "complete":
        message = "the server wants more input from the client, which is not granted"
        raise Unfit(message)
    failed = result.get("isError", False)
    if not isinstance(failed, bool):
        message = "the server's answer does not say whether it is an error"
        raise Unfit(message)
    blocks = result.get("content", [])
    if not isinstance(blocks, list) or len(blocks) > MAX_ITEMS:
        message = f"the result has more than {MAX_ITEMS} content blocks"
        raise Unfit(message)
    passed: dict[str, Json] = {"content": [clean_block(block, kinds) for block in blocks]}
    if "structured" in kinds and result.get("structuredContent") is not None:
        passed["structuredContent"] = _json(result["structuredContent"])
    if len(dumps(passed)) > limit:
        message = f"the result is larger than {limit} bytes"
        raise Unfit(message)
    return passed, failed


def text_of(passed: Mapping[str, Json]) -> str:
    """The text blocks of a cleaned result, one after the other."""
    blocks = passed.get("content")
    texts = (
        [str(block["text"]) for block in blocks if isinstance(block, dict) and "text" in block]
        if isinstance(blocks, list)
        else []
    )
    return "\n".join(texts)


def clean_block(block: Tree, kinds: Sequence[ContentKind]) -> Json:
    """What of one content block may be passed on; one of a kind that is not granted is named and left out.

    Raises Unfit.
    """
    match block:
        case {"type": "text", "text": str() as text}:
            return _text(clean_text(text) if "text" in kinds else left_out("text"))
        case {"type": ("image" | "audio") as kind, "data": str() as data, "mimeType": str() as media}:
            if kind not in kinds:
                return _text(left_out(str(kind)))
            return {"type": kind, "data": clean_binary(str(kind), data, media), "mimeType": media}
        case {"type": str() as kind}:
            return _text(left_out(kind))
        case _:
            message = "a content block of the result has no type"
            raise Unfit(message)


def left_out(kind: str) -> str:
    """What stands in the place of content of this kind."""
    return f"[{clean_text(kind[:MAX_TYPE])} content was left out: the spec's `server` does not grant it]"


def clean_binary(kind: str, data: str, media: str) -> str:
    """The base64 of an image or a sound, if it is that. Raises Unfit."""
    if len(media) > MAX_TYPE or _MEDIA_TYPE.fullmatch(media) is None or not media.startswith(f"{kind}/"):
        message = f"the {kind} of the result has no media type of its kind"
        raise Unfit(message)
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"the {kind} of the result is not base64"
        raise Unfit(message) from error
    return str(data)  # also where it was written as a number


# --- private -----------------------------------------------------------------------------------------


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _json(value: Tree) -> Json:
    match value:
        case JsonNumber():
            return _number(value)
        case str():
            return clean_text(value)
        case list():
            return [_json(item) for item in value]
        case dict():
            return {clean_text(key): _json(item) for key, item in value.items()}
        case _:
            return value


def _number(text: JsonNumber) -> Json:
    if text.lstrip("-").isdigit():
        return int(text)
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        message = "a number of the result is out of range"
        raise Unfit(message)
    return number


def _shown(character: str) -> str:
    if character in _KEPT:
        return character
    hidden = unicodedata.category(character) in _HIDDEN or _CARRIERS.match(character)
    return escaped(character) if hidden else character
