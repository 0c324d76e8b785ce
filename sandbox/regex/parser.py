"""Pattern text -> syntax tree, by recursive descent; everything outside the dialect is refused here.

The dialect (docs/language.md, Patterns) is a part of RE2's syntax, chosen so that no construct means
something else in another engine. Refusals name the reason and the offset.
"""

from __future__ import annotations

from typing import Final, NoReturn

from sandbox.regex.alphabet import DIGIT, DOT, MAX_CODE_POINT, SPACE, SURROGATES, WORD, Ranges, complement, union
from sandbox.regex.syntax import EMPTY, Begin, Chars, Choice, Concat, End, Node, PatternError, Repeat

MAX_TEXT: Final = 16 * 1024
"""Code points of a pattern: as many as the longest string that a rule can see."""
MAX_EXPANDED: Final = 1_000
"""Characters and classes after every `{m,n}` is written out; RE2's own limit for counted repetition."""
MAX_DEPTH: Final = 50
"""Nested groups: every function here recurses with them, and Python's stack must never be the limit."""

_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_SHORTHANDS: Final = {"d": DIGIT, "w": WORD, "s": SPACE}
_ASCII_LAST: Final = 0x7F
_SET_OPERATORS: Final = ("&&", "||", "~~", "--")

_REFUSED_ESCAPES: Final = {
    **dict.fromkeys("bB", "word boundaries are not in the dialect; spell out the characters around"),
    **dict.fromkeys("pPX", "unicode classes are not in the dialect; list ASCII ranges"),
    **dict.fromkeys("DWS", "write the negated class, such as `[^\\d]`"),
    **dict.fromkeys("AzZ", "write `^` or `$`"),
    **dict.fromkeys("nrtfvae", "put the character itself (a quoted string may write it as an escape of its own)"),
    **dict.fromkeys("123456789kg", "back-references are not in the dialect; no automaton can have them"),
    **dict.fromkeys("x0uUoN", "put the character itself instead of its number"),
    **dict.fromkeys("QE", "quoting is not in the dialect; escape each punctuation character"),
    "C": "single bytes are not in the dialect; write `.` for a character",
}
_REFUSED_GROUPS: Final = (
    ("(?P=", "back-references are not in the dialect; no automaton can have them"),
    ("(?P", "named groups are not in the dialect; write `(`"),
    ("(?=", "look-around is not in the dialect; state a second condition with `&&`"),
    ("(?!", "look-around is not in the dialect; state a second condition with `&& !`"),
    ("(?<=", "look-around is not in the dialect; state a second condition with `&&`"),
    ("(?<!", "look-around is not in the dialect; state a second condition with `&& !`"),
    ("(?<", "named groups are not in the dialect; write `(`"),
    ("(?>", "possessive groups are not in the dialect; write `(`"),
    ("(?#", "comments are not in the dialect"),
    ("(?", "flags are not in the dialect; write both cases as `[aA]`, or apply `lowerAscii`"),
)
_REFUSED_SUFFIXES: Final = {
    "?": "lazy repetition is not in the dialect; it changes no verdict, so remove the `?`",
    "+": "possessive repetition is not in the dialect; remove the `+`",
    "*": "a repetition cannot be repeated; use a group",
    "{": "a repetition cannot be repeated; use a group",
}


def parse(text: str) -> Node:
    """The tree of a pattern of the dialect. Raises PatternError for any other text."""
    _check_characters(text)
    parser = _Parser(text)
    node = parser.choice()
    if not parser.at_end():
        parser.refuse("unbalanced `)`; escape it as `\\)`")
    _check_anchors(node, first=True, last=True)
    if _expanded(node) > MAX_EXPANDED:
        message = f"the pattern has more than {MAX_EXPANDED} characters and classes; split it into several conditions"
        raise PatternError(message, 0)
    return node


class _Parser:
    """A cursor over the text; one method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def at_end(self) -> bool:
        return self.at == len(self.text)

    def sees(self, part: str) -> bool:
        return self.text.startswith(part, self.at)

    def take(self, part: str) -> bool:
        if not self.sees(part):
            return False
        self.at += len(part)
        return True

    def next(self) -> str:
        char = self.text[self.at]
        self.at += 1
        return char

    def refuse(self, message: str, offset: int | None = None) -> NoReturn:
        raise PatternError(message, self.at if offset is None else offset)

    def choice(self) -> Node:
        """Sequences with `|` between them."""
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self) -> Node:
        """Repeated atoms up to `|`, `)` or the end; of none, the empty string."""
        items = []
        while not (self.at_end() or self.sees("|") or self.sees(")")):
            items.append(self.repeated())
        if not items:
            return EMPTY
        return items[0] if len(items) == 1 else Concat(tuple(items))

    def repeated(self) -> Node:
        """An atom and at most one of `* + ? {m,n}`."""
        atom = self.atom()
        offset = self.at
        counts = self.quantifier()
        if counts is None:
            return atom
        if isinstance(atom, Begin | End):
            self.refuse("`^` and `$` cannot be repeated", offset)
        if not self.at_end() and self.text[self.at] in _REFUSED_SUFFIXES:
            self.refuse(_REFUSED_SUFFIXES[self.text[self.at]])
        return Repeat(atom, *counts, offset)

    def quantifier(self) -> tuple[int, int | None] | None:
        """The counts of the repetition that stands here, or None."""
        if self.take("*"):
            return 0, None
        if self.take("+"):
            return 1, None
        if self.take("?"):
            return 0, 1
        if self.sees("{"):
            return self.counts()
        return None

    def counts(self) -> tuple[int, int | None]:
        """`{m}`, `{m,}` or `{m,n}`."""
        start = self.at
        self.at += 1
        low = self.number(start)
        high: int | None = low
        if self.take(","):
            high = None if self.sees("}") else self.number(start)
        if not self.take("}"):
            self.refuse("expected `{m}`, `{m,}` or `{m,n}`; escape a literal brace as `\\{`", start)
        if high is not None and high < low:
            self.refuse(f"`{self.text[start : self.at]}` counts down; put the smaller number first", start)
        return low, high

    def number(self, start: int) -> int:
        """A count without leading zeros, at most `MAX_EXPANDED`."""
        begin = self.at
        while not self.at_end() and self.text[self.at] in "0123456789":
            self.at += 1
        digits = self.text[begin : self.at]
        if not digits:
            self.refuse("expected `{m}`, `{m,}` or `{m,n}`; escape a literal brace as `\\{`", start)
        if len(digits) > 1 and digits[0] == "0":
            self.refuse("a count has no leading zeros", begin)
        if len(digits) > len(str(MAX_EXPANDED)) or int(digits) > MAX_EXPANDED:
            self.refuse(f"a count is at most {MAX_EXPANDED}", begin)
        return int(digits)

    def atom(self) -> Node:
        """A group, class, anchor, escape or literal."""
        offset = self.at
        if self.sees("("):
            return self.group()
        if self.sees("["):
            return Chars(self.char_class(), offset)
        char = self.next()
        match char:
            case ".":
                return Chars(DOT, offset)
            case "^":
                return Begin(offset)
            case "$":
                return End(offset)
            case "\\":
                return Chars(self.escape(offset), offset)
            case _:
                if char in _REFUSED_SUFFIXES:
                    self.refuse(f"there is nothing before `{char}` to repeat; escape it as `\\{char}`", offset)
                if char in "]}":
                    self.refuse(f"unbalanced `{char}`; escape it as `\\{char}`", offset)
                return Chars(_single(char), offset)

    def group(self) -> Node:
        """`(...)` or `(?:...)`, which mean the same: nothing here captures."""
        offset = self.at
        if not self.take("(?:"):
            for opening, message in _REFUSED_GROUPS:
                if self.sees(opening):
                    self.refuse(message)
            self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.refuse(f"groups are nested more than {MAX_DEPTH} deep", offset)
        node = self.choice()
        if not self.take(")"):
            self.refuse("the group is not closed; escape a literal parenthesis as `\\(`", offset)
        self.depth -= 1
        return node

    def escape(self, offset: int) -> Ranges:
        """What follows a backslash: punctuation, or one of `d w s`."""
        if self.at_end():
            self.refuse("nothing follows the backslash; write `\\\\` for a backslash", offset)
        char = self.next()
        if not (char in _PUNCTUATION or char in _SHORTHANDS):
            reason = _REFUSED_ESCAPES.get(
                char, "only punctuation and `\\d \\w \\s` can be escaped; remove the backslash"
            )
            self.refuse(f"`\\{_shown(char)}`: {reason}", offset)
        return _SHORTHANDS.get(char, _single(char))

    def char_class(self) -> Ranges:
        """`[...]` or `[^...]` with ASCII members."""
        opening = self.at
        self.at += 1
        negated = self.take("^")
        if self.sees("]"):
            self.refuse("a class begins with its first member; escape a literal bracket as `\\]`")
        parts: list[tuple[int, int]] = []
        while not self.take("]"):
            if self.at_end():
                self.refuse("the class is not closed; escape a literal bracket as `\\[`", opening)
            parts.extend(self.member(first=not parts))
        members = union(*parts)
        return complement(members) if negated else members

    def member(self, *, first: bool) -> Ranges:
        """A character, a range, or a shorthand inside a class."""
        offset = self.at
        low = self.class_char(first=first)
        if not self.sees("-") or self.sees("-]"):
            return low
        self.refuse_operators()
        self.at += 1
        if self.at_end():
            return low
        high = self.class_char(first=False)
        if not (_is_single(low) and _is_single(high)):
            self.refuse("a range needs a character at both ends; escape a literal `-`", offset)
        if low > high:
            self.refuse(f"`{_shown(self.text[offset : self.at])}` runs backwards", offset)
        return ((low[0][0], high[0][0]),)

    def class_char(self, *, first: bool) -> Ranges:
        """One character or shorthand inside a class; a bare `-` only first or last."""
        offset = self.at
        self.refuse_operators()
        char = self.next()
        if char == "\\":
            return self.escape(offset)
        if char == "[":
            posix = "named classes such as `[:alpha:]` are not in the dialect; list ASCII ranges"
            self.refuse(posix if self.sees(":") else "escape a literal bracket as `\\[`", offset)
        if char == "-" and not (first or self.sees("]")):
            self.refuse("a literal `-` stands first or last in a class; escape it as `\\-`", offset)
        if ord(char) > _ASCII_LAST:
            message = f"`{_shown(char)}`: a class holds ASCII only; put the character beside the class, with `|`"
            self.refuse(message, offset)
        return _single(char)

    def refuse_operators(self) -> None:
        """What other engines read as a combination of sets means nothing here."""
        for operator in _SET_OPERATORS:
            if self.sees(operator):
                self.refuse(f"`{operator}`: sets are not combined inside a class; escape the second character")


def _check_characters(text: str) -> None:
    if len(text) > MAX_TEXT:
        message = f"a pattern has at most {MAX_TEXT} characters"
        raise PatternError(message, MAX_TEXT)
    for offset, char in enumerate(text):
        point = ord(char)
        if point == 0 or point > MAX_CODE_POINT or SURROGATES[0] <= point <= SURROGATES[1]:
            message = f"U+{point:04X} can be in no string that a rule sees; remove it"
            raise PatternError(message, offset)


def _check_anchors(node: Node, *, first: bool, last: bool) -> None:
    """Refuse an anchor that could stand anywhere but first or last, once alternatives are distributed."""
    match node:
        case Begin(offset=offset):
            if not first:
                message = "`^` can only stand first; escape a literal one as `\\^`"
                raise PatternError(message, offset)
        case End(offset=offset):
            if not last:
                message = "`$` can only stand last; escape a literal one as `\\$`"
                raise PatternError(message, offset)
        case Concat(items=items):
            for place, item in enumerate(items):
                _check_anchors(item, first=first and place == 0, last=last and place == len(items) - 1)
        case Choice(options=options):
            for option in options:
                _check_anchors(option, first=first, last=last)
        case Repeat(body=body):
            _check_anchors(body, first=False, last=False)
        case Chars():
            pass


def _expanded(node: Node) -> int:
    """Leaves once every repetition is written out; an empty sequence counts too, for its copies cost as much."""
    match node:
        case Chars() | Begin() | End():
            return 1
        case Concat(items=items):
            return max(1, sum(_expanded(item) for item in items))
        case Choice(options=options):
            return sum(_expanded(option) for option in options)
        case Repeat(body=body, low=low, high=high, offset=offset):
            size = _expanded(body) * max(1, low if high is None else high)
            if size > MAX_EXPANDED:
                message = f"the repetition expands to {size} characters and classes; at most {MAX_EXPANDED} are allowed"
                raise PatternError(message, offset)
            return size


def _single(char: str) -> Ranges:
    return ((ord(char), ord(char)),)


def _is_single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _shown(text: str) -> str:
    """The text in an error message: one line, nothing invisible."""
    return "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in text)
