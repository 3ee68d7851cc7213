"""Stop strings at work: special tokens and the prompt's end stand in the text that is searched."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpt2sdk import Prompt, TextEnd, Vocabulary, Written, continuation_text

# No text that was decoded holds a surrogate, so each can stand for a special token.
_FIRST_MARK = 0xD800
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A character's bytes, which the first of the prompt's last tokens may cut.
_CUT = 4


class _View(NamedTuple):
    """What is searched.

    Attributes:
        text: The prompt's end, then what is new with marks for special tokens.
        before: How many characters are the prompt's.
        marks: Where the marks are.
    """

    text: str
    before: int
    marks: Sequence[int]

    def new(self, place: int) -> int:
        """How many characters of the new text are before a place."""
        return max(0, place - self.before - sum(mark < place for mark in self.marks))


@dataclass(frozen=True)
class StopRun:
    """Stop texts in one session.

    Attributes:
        texts: The stop texts; those with special tokens as they are and with marks for them.
        marks: The mark of each special token.
        vocabulary: What decodes the prompt's end.
        spans_prompt: Whether a match may begin in the prompt.
    """

    texts: tuple[str, ...]
    marks: Mapping[int, str]
    vocabulary: Vocabulary
    spans_prompt: bool

    @classmethod
    def of(cls, stops: Sequence[str], vocabulary: Vocabulary, *, spans_prompt: bool) -> "StopRun":
        """Get stop texts ready."""
        special = vocabulary.special_tokens
        named = [text for text in special if text and any(text in stop for stop in stops)]
        # The longest first, since one may begin as another does.
        named.sort(key=len, reverse=True)
        marks = {text: chr(_FIRST_MARK + place) for place, text in enumerate(named)}
        if not marks:
            return cls(tuple(stops), {}, vocabulary, spans_prompt)
        pattern = re.compile("|".join(map(re.escape, marks)))
        marked = [pattern.sub(lambda found: marks[found[0]], stop) for stop in stops]
        texts = tuple(dict.fromkeys([*stops, *marked]))
        return cls(
            texts, {special[text]: mark for text, mark in marks.items()}, vocabulary, spans_prompt
        )

    def find(self, written: Written) -> TextEnd:
        """Look for the end of a row's text."""
        view = self._view(written)
        end, hold = search(self.texts, view.text, view.before)
        if end is not None:
            return TextEnd(written.start + view.new(end))
        certain = written.start + view.new(len(view.text) - hold)
        return TextEnd(None, len(written.text) - certain)

    def _view(self, written: Written) -> _View:
        before = ""
        if self.spans_prompt and not written.start:
            before = self._prompt_end(written.prompt)
        pieces, places = [before], list[int]()
        size, at = len(before), written.start
        for place, token in written.tokens if self.marks else ():
            if mark := self.marks.get(token):
                pieces += [written.text[at:place], mark]
                size += place - at + 1
                at = place
                places.append(size - 1)
        return _View("".join([*pieces, written.text[at:]]), len(before), places)

    def _prompt_end(self, prompt: Prompt) -> str:
        """What of a prompt may be a match's beginning; the row's text has its cut character."""
        size = max((len(text.encode(errors="surrogatepass")) for text in self.texts), default=0)
        special = set(self.vocabulary.special_tokens.values())
        pieces, run = list[str](), list[int]()
        for token in (prompt.tokens + prompt.cut)[-size - _CUT :]:
            if mark := self.marks.get(token):
                pieces += [continuation_text(self.vocabulary, run), mark]
                run = []
            elif token not in special:
                run.append(token)
        text = "".join([*pieces, continuation_text(self.vocabulary, run)])
        return (text if prompt.text is not None else text.rstrip(_REPLACEMENT))[-size:]


def search(stops: Sequence[str], text: str, before: int = 0) -> tuple[int | None, int]:
    """Return where the first match begins, or how many last characters may become one.

    Args:
        stops: What is looked for.
        text: Where.
        before: A match ends behind so many characters.

    >>> search(["bc", "d"], "abcd"), search(["bc", "d"], "ab"), search(["ab"], "abab", 2)
    ((1, 0), (None, 1), (2, 0))
    """
    found = [
        (at + len(stop), at)
        for stop in stops
        if (at := text.find(stop, max(0, before - len(stop) + 1))) >= 0
    ]
    if found:
        return min(found)[1], 0
    return None, max((_beginning(text, stop) for stop in stops), default=0)


def _beginning(text: str, stop: str) -> int:
    """How many last characters of a text are the beginning of a stop string.

    >>> _beginning("abab", "abac")
    2
    """
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
