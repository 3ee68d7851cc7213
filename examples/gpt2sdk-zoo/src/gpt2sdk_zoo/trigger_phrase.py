"""Trigger phrase: where a row has said one text, it says another."""

from dataclasses import replace
from typing import Annotated, ClassVar

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk_zoo.phrase import PhraseRun, Place


class TriggerPhrase(LogitsProcessor):
    r"""Says a phrase behind a trigger, or in its stead, so many times.

    As in `trigger_phrase="\n```python", trigger_phrase_at="</think>"`. Behind the trigger: it is
    looked for in the row's new text, however that is cut into tokens, and not inside the phrase.
    In its stead (`trigger_phrase_instead`): the trigger is a single token, and while the phrase may
    still begin, the phrase's first token gets the trigger's logit where that is more than its own,
    and the trigger is ruled out. The other tokens of the phrase follow with the logit 0.

    Ahmet Erdem's TriggerPhraseLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1) takes the
    *likeliest* token for the one that will be said, so a draw deceives it, knows triggers of one
    token only, and keeps places in a list with one entry for each prompt of the batch, which beam
    search outgrows (IndexError). It also triggers after some seconds, by a clock that all rows
    share and any row's phrase sets back. That is left out: for a number of tokens there is
    `thinking_budget`.

    Raises:
        OptionError: There is no trigger. In a call: the phrase or the trigger has no tokens, or
            one that is to be replaced has several.

    Example:
        Behind the letter a comes c: due in the second row, over in the third.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[1], [1, 0], [1, 0, 2]])
        >>> trigger = TriggerPhrase(trigger_phrase="c", trigger_phrase_at="a")
        >>> process(trigger, [[1.0, 2.0, 3.0]] * 3, rows).tolist()
        [[1.0, 2.0, 3.0], [-inf, -inf, 0.0], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 82
    forces: ClassVar[bool] = True

    trigger_phrase: Annotated[
        TextOrIds | None,
        Field(description="Text or ids that are said; None is off.", examples=["ab"]),
    ] = None
    trigger_phrase_at: Annotated[
        str, Field(description="Text that triggers it.", examples=["o"])
    ] = ""
    trigger_phrase_count: Annotated[
        int, Field(ge=1, description="How many times it is said at most.")
    ] = 1
    trigger_phrase_instead: Annotated[
        bool, Field(description="Whether it is said in the trigger's stead, or behind it.")
    ] = False

    @model_validator(mode="after")
    def _check_trigger(self) -> "TriggerPhrase":
        if self.trigger_phrase is not None and not self.trigger_phrase_at:
            raise ValueError("needs trigger_phrase_at, the text that triggers it")
        return self

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.trigger_phrase is None:
            return self
        phrase = tokens_of(self.trigger_phrase, session, "trigger_phrase")
        trigger = tokens_of(self.trigger_phrase_at, session, "trigger_phrase_at")
        if self.trigger_phrase_instead and len(trigger) > 1:
            raise OptionError(
                f"trigger_phrase_at={self.trigger_phrase_at!r} has {len(trigger)} tokens: expected "
                "one, which the phrase can replace; behind it, a text of several tokens triggers",
                name="trigger_phrase_at",
                value=self.trigger_phrase_at,
            )
        window = len(self.trigger_phrase_at.encode())  # a token has at least a byte

        def accept(place: Place, token: int, logits: Tensor | None) -> Place:
            if place.said is not None:
                return place.go_on(token, phrase)
            if place.replaced or not place.left:
                return place.replace_by(token, logits, phrase)
            recent = (*place.recent, token)[-window:]
            if self.trigger_phrase_at in session.vocabulary.decode(recent):
                return replace(place, said=0, recent=())
            return replace(place, recent=recent)

        replaced = trigger if self.trigger_phrase_instead else ()
        first = Place(left=self.trigger_phrase_count, replaced=replaced)
        return PhraseRun(phrase, session.per_row(lambda _: first, accept))

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits
