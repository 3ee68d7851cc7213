"""Last phrase: a row says it before it ends."""

from typing import Annotated, ClassVar

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk_zoo.phrase import PhraseRun, Place


class ForceLastPhrase(LogitsProcessor):
    r"""Says a phrase, such as `"\n\nReferences:"`, where a row would end, and lets it go on then.

    Until the phrase was begun its first token stands for the end tokens: it gets the best of their
    logits where that is more than its own, and they are ruled out. So whatever would have picked an
    end, greedily, drawn or as a beam, begins the phrase. Its other tokens follow, each with the
    logit 0. Behind it the row may end.

    Ahmet Erdem's ForceLastPhraseLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1) begins where
    an end is the *likeliest* token: an end that is drawn when it is second gets past it. It counts
    in a list with one entry for each prompt of the batch, which beam search outgrows (IndexError).
    Here the place is a memory of the row, and follows it.

    A row that ends for another reason, as by `max_new_tokens`, has no phrase. Where somebody else
    rules a token of it out, the phrase breaks off.

    Raises:
        OptionError: In a call: there are no end tokens, or the phrase has no tokens.

    Example:
        The phrase is the letter b; token 2 ends rows. The end is likelier than b in the first row;
        the second has said b by itself, so that the end still waits.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0], [0, 1]], eos_token_ids=[2])
        >>> last = ForceLastPhrase(force_last_phrase="b")
        >>> process(last, [[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]], rows).tolist()
        [[0.0, 3.0, -inf], [0.0, 3.0, -inf]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 80
    forces: ClassVar[bool] = True

    force_last_phrase: Annotated[
        TextOrIds | None,
        Field(description="Text or ids said before the end; None is off.", examples=["ab"]),
    ] = None

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if not prompt.eos_token_ids:
            raise OptionError(
                "force_last_phrase stands before end tokens, and there are none: expected "
                "eos_token_id, or a model that has end tokens",
                name="force_last_phrase",
                value=self.force_last_phrase,
            )

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.force_last_phrase is None:
            return self
        phrase = tokens_of(self.force_last_phrase, session, "force_last_phrase")

        def accept(place: Place, token: int, logits: Tensor | None) -> Place:
            if place.said is not None:
                return place.go_on(token, phrase)
            return place.replace_by(token, logits, phrase)

        return PhraseRun(phrase, session.per_row(_waiting, accept))

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


def _waiting(prompt: Prompt) -> Place:
    """The place of a fresh row: its end tokens still wait for the phrase."""
    return Place(replaced=tuple(sorted(prompt.eos_token_ids)))
