"""A server's resource or prompt on its way to a client: bounded, cleaned, and no other than the one that was asked for.

What a prompt says stands in the conversation as if the user had said it; so it may speak as the user alone, and not
as the model, which would then be bound by words that it never chose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sandbox.canonical import quoted
from sandbox.ir import ContentKind, Json
from sandbox.mcp.cleaning import MAX_ITEMS, MAX_TYPE, Unfit, clean_binary, clean_block, clean_text, left_out
from sandbox.mcp.wire import dumps
from sandbox.strict_json import Tree, member

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")


def clean_contents(result: Tree, uri: str, kinds: Sequence[ContentKind], limit: int) -> dict[str, Json]:
    """What of a `resources/read` result may be passed on: contents of `uri` and of nothing else.

    `limit` is in bytes of everything that is passed on. Contents of a kind that is not granted are named and left out;
    a blob is of the kind that its media type says. Raises Unfit.
    """
    return _within({"contents": [_content(each, uri, kinds) for each in _items(result, "contents")]}, limit)


def clean_prompt(result: Tree, kinds: Sequence[ContentKind], limit: int) -> dict[str, Json]:
    """What of a `prompts/get` result may be passed on: messages of the user. `limit` as above. Raises Unfit."""
    return _within({"messages": [_message(each, kinds) for each in _items(result, "messages")]}, limit)


# --- private -----------------------------------------------------------------------------------------


def _items(result: Tree, name: str) -> list[Tree]:
    items = member(result, name)
    if isinstance(result, dict) and result.get("resultType", "complete") != "complete":
        message = "the server wants more input from the client, which is not granted"
        raise Unfit(message)
    if not isinstance(items, list):
        message = f"the server's answer has no `{name}`"
        raise Unfit(message)
    if len(items) > MAX_ITEMS:
        message = f"the answer has more than {MAX_ITEMS} {name}"
        raise Unfit(message)
    return items


def _within(passed: dict[str, Json], limit: int) -> dict[str, Json]:
    if len(dumps(passed)) > limit:
        message = f"the result is larger than {limit} bytes"
        raise Unfit(message)
    return passed


def _content(content: Tree, uri: str, kinds: Sequence[ContentKind]) -> Json:
    match content:
        case {"uri": str() as named} if named != uri:
            message = f"the server answered with the contents of {quoted(named)}, which is not what was asked for"
            raise Unfit(message)
        case {"uri": str(), "text": str(), "blob": str()}:
            message = "the contents of the resource are text and a blob at once"
            raise Unfit(message)
        case {"uri": str(), "text": str() as text}:
            shown = clean_text(text) if "text" in kinds else left_out("text")
            return {"uri": uri, **_media_type(member(content, "mimeType")), "text": shown}
        case {"uri": str(), "blob": str() as blob}:
            media = _media_type(member(content, "mimeType")).get("mimeType", "")
            return {"uri": uri, **_blob(blob, media, kinds)}
        case _:
            message = "the contents of the resource are neither text nor a blob"
            raise Unfit(message)


def _blob(data: str, media: str, kinds: Sequence[ContentKind]) -> dict[str, Json]:
    kind = media.partition("/")[0]
    if kind in kinds and kind in {"image", "audio"}:
        return {"mimeType": media, "blob": clean_binary(kind, data, media)}
    return {"text": left_out(media or "binary")}


def _media_type(media: Tree) -> dict[str, str]:
    """The plain media type, without parameters; none where it is no such thing."""
    plain = media.partition(";")[0].strip().lower() if isinstance(media, str) else ""
    return {"mimeType": plain} if len(plain) <= MAX_TYPE and _MEDIA_TYPE.fullmatch(plain) else {}


def _message(message: Tree, kinds: Sequence[ContentKind]) -> Json:
    match message:
        case {"role": "user", "content": dict() as block}:
            return {"role": "user", "content": clean_block(block, kinds)}
        case {"role": str() as role} if role != "user":
            reason = f"a message of the prompt speaks as {quoted(role[:MAX_TYPE])}; only `user` is passed on"
            raise Unfit(reason)
        case _:
            reason = "a message of the prompt has no `role` and `content`"
            raise Unfit(reason)
