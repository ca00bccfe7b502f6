"""Text from files and databases, made safe to show: what a terminal acts on, or is invisible, is escaped.

Control characters and escapes move the cursor, retitle the window or answer in the reader's name; bidirectional
overrides reorder what is read; characters without width hide. Each is shown as Python would write it (``\\x1b``,
``\\u202e``, ``\\n``), so that a text stays on its line. Letters of any script, accents and emoji stay as they are.
"""

from __future__ import annotations

import re

_JOINER = "\u200d"  # makes one emoji of several
_PICTURE = "[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]"
# Printable by their category, without width or appearance nonetheless (Unicode's Default_Ignorable_Code_Point).
# U+FE0E and U+FE0F, which choose how an emoji looks, are left. Compiled on first use: sets of such
# ranges take long to compile, and most text is ASCII.
_UNSEEN = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
_CONTINUED = re.compile("\n(?=  )")
_STYLE = re.compile("\x1b\\[[0-9;]*m")


def printable(text: str) -> str:
    """The text on one line, each character that can't be seen spelled out."""
    if text.isprintable() and (text.isascii() or not re.search(_UNSEEN, text)):
        return text
    return "".join(char if _is_seen(text, at) else _spelled(char) for at, char in enumerate(text))


def printable_lines(text: str) -> str:
    """The same for a text of several lines, of which we made the line ends."""
    return "\n".join(map(printable, text.split("\n")))


def printable_message(text: str) -> str:
    """The same for words of ours whose further lines are indented; no text within them begins a line of its own."""
    return "\n".join(map(printable, _CONTINUED.split(text)))


def printable_styled(text: str) -> str:
    """The same for lines with colours that we put there: sequences that style text are kept, and no others."""
    pieces, end = [], 0
    for style in _STYLE.finditer(text):
        pieces += [printable_lines(text[end : style.start()]), style[0]]
        end = style.end()
    return "".join([*pieces, printable_lines(text[end:])])


def printable_json(text: str) -> str:
    """JSON text that means the same, with such characters written as JSON's escapes."""
    return "\n".join(_escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    if line.isprintable() and (line.isascii() or not re.search(_UNSEEN, line)):
        return line
    return "".join(char if _is_seen(line, at) else _json_escape(char) for at, char in enumerate(line))


def _is_seen(text: str, at: int) -> bool:
    char = text[at]
    if char == _JOINER:
        return bool(0 < at < len(text) - 1 and re.match(_PICTURE, text[at - 1]) and re.match(_PICTURE, text[at + 1]))
    return char.isprintable() and not re.match(_UNSEEN, char)


def _spelled(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def _json_escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
