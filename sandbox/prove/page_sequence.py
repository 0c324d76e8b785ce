"""A sequence of calls on the page: what was called, what the gate said, what that changed, and what it shows."""

from __future__ import annotations

import json
from typing import Final

from sandbox.call import Decision
from sandbox.ir import Json
from sandbox.prove.html import Content, Html, element, prose
from sandbox.prove.replay import origin_words, rfc3339
from sandbox.prove.report import shown_value
from sandbox.prove.verdicts import Changes, Move, Replayed
from sandbox.times import show_duration

MAX_SHOWN: Final = 160
"""Characters of a value; the JSON of the report has all of them."""

_SAID: Final = {"allow": "allowed", "ask": "a person is asked", "deny": "denied"}


def sequence(replayed: Replayed, *, breaks: bool) -> Html:
    """The calls, and at the end what they break, or show."""
    calls, start = replayed.moves.calls, None
    items = []
    for number, (move, decision, changes) in enumerate(
        zip(calls, replayed.decisions, replayed.changes, strict=True), 1
    ):
        items.append(_call(number, move, decision, changes, start))
        start = move.now_ms if start is None else start
    sign, kind = ("✕", "end") if breaks else ("✓", "end shown")
    end = element("p", prose(replayed.words[-1] if replayed.words else ""), class_="ending")
    items.append(element("li", element("span", sign, class_="dot"), element("div", end), class_=kind))
    return element("ol", items, class_="calls")


def _call(number: int, move: Move, decision: Decision, changes: Changes, start: int | None) -> Html:
    by = f" by {decision.rule}" if decision.rule else ""
    line = element(
        "div",
        element("code", move.tool, class_="tool"),
        element("span", f"{_SAID[decision.verdict]}{by}", class_=f"badge {decision.verdict}"),
        element("time", _when(move.now_ms, start)),
        class_="call",
    )
    inner = element(
        "div",
        line,
        _values(dict(move.args)),
        (element("p", "in the session", class_="said"), _values(dict(move.session))) if move.session else (),
        element("p", origin_words(move.origins).strip(), class_="said") if move.origins else (),
        element("p", prose(decision.reason), class_="said"),
        [_moved(name, old, new) for name, (old, new) in changes.items()],
        element("p", "it has not ended yet", class_="said") if move.ends is None else (),
    )
    return element("li", element("span", number, class_="dot"), inner)


def _when(now_ms: int, start: int | None) -> str:
    if start is None:
        return rfc3339(now_ms).replace(".000Z", "Z").replace("T", " ")
    return "at once" if now_ms == start else f"{show_duration(now_ms - start)} later"


def _values(values: dict[str, Json]) -> Content:
    if not values:
        return ()
    pairs = [
        (element("dt", name, class_="mono"), element("dd", _value(value), class_="mono"))
        for name, value in values.items()
    ]
    return element("dl", pairs, class_="args")


def _value(value: Json) -> Content:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= MAX_SHOWN:
        return text
    return f"{text[:MAX_SHOWN]}… ", element("small", f"{len(text):,} characters in all", class_="quiet")


def _moved(name: str, old: Json, new: Json) -> Html:
    return element(
        "p", element("code", name), f" {shown_value(old)} → ", element("b", shown_value(new)), class_="moved"
    )
