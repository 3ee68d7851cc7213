"""Stop strings: a row ends before a text."""

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from gpt2sdk import OneOrMore, Session, TextCriterion, TextCriterionRun, TextEnd
from gpt2sdk_stopping.stop_run import StopRun, search


class Stop(TextCriterion):
    r"""Ends a row before the first of these texts, wherever its tokens are cut.

    The match that is complete first counts, and among those the longest: the result is the same
    whether text comes in characters or in long tokens. While the last characters may still become
    a match they are held back, so no part of one is ever streamed. The tokens of the match stay
    in `tokens`.

    A special token in a stop text matches that token, which has no text itself, and its spelling.
    With `stop=["<|im_end|>"]` the text ends before either; `"\n<|im_end|>"` wants both.

    A match ends in new text. It begins there as well unless `stop_spans_prompt` is set; where it
    began in the prompt, the new text is empty. That is what transformers' `stop_strings` does.

    Example:
        >>> stop = Stop(stop=["END", "\n\n"])
        >>> stop.search("the END.", 0)  # it ends before character 4
        TextEnd(end=4, hold=0)
        >>> stop.search("the EN", 0)  # "EN" may become "END"
        TextEnd(end=None, hold=2)
    """

    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        OneOrMore,
        Field(description="One or several texts before which a row ends."),
    ] = ()
    stop_spans_prompt: Annotated[
        bool, Field(description="Whether a stop text may begin in the prompt.")
    ] = False

    @override
    def start(self, session: Session) -> TextCriterionRun:
        return StopRun.of(self.stop, session.vocabulary, spans_prompt=self.stop_spans_prompt)

    @override
    def search(self, text: str, start: int) -> TextEnd:
        end, hold = search(self.stop, text[start:])
        return TextEnd(None if end is None else start + end, hold)
