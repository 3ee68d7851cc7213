"""Length boost: the longer a row gets, the likelier, or less likely, it ends."""

from typing import Annotated, ClassVar

import torch
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
from typing_extensions import override

_ENDS = (".", "!", "?", "…", "\n")
_BEHIND = "\"')]*\u2019\u201d "  # closing marks, blanks
_WINDOW = 8


class GenLengthBoost(LogitsProcessor):
    """Adds `boost * (k / 10) ** power` to the logits of end tokens; `k` counts new tokens.

    So the boost is what is added at the tenth new token, in nats. A negative one makes rows longer.
    With `gen_length_sentences` it is added only where the row's new text ends a sentence: with
    `. ! ? …`, also before quotes and brackets, or with a line break. With `gen_length_token`, such
    as `"</think>"`, that token is boosted instead, until the row has said it.

    After Ahmet Erdem's GenLengthLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1), whose formula
    and default power these are. There the length is counted from the last call that did not go on
    from the one before. Under beam search that is nearly each one, so that rows seem to have no
    length and nothing is added; left padding and the end tokens of a batch's other rows count, too.
    It knows one end token where a model may have several, and two ends of sentences.

    Raises:
        OptionError: In a call: there is nothing to boost, or `gen_length_token` is not one token.

    Example:
        Token 2 ends rows. The second has 10 new tokens: 2 · 1²; the third 20: 2 · 2².

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0], [0] * 11, [0] * 21], eos_token_ids=[2])
        >>> process(GenLengthBoost(gen_length_boost=2.0), [[1.0, 1.0, 1.0]] * 3, rows).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 3.0], [1.0, 1.0, 9.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 70

    gen_length_boost: Annotated[
        float,
        Field(ge=-1e6, le=1e6, description="Nats added at the tenth new token; 0 is off."),
    ] = 0.0
    gen_length_power: Annotated[
        float, Field(ge=0.0, le=4.0, description="How the boost grows: as this power of length.")
    ] = 2.0
    gen_length_sentences: Annotated[
        bool, Field(description="Whether rows are boosted at ends of sentences only.")
    ] = False
    gen_length_token: Annotated[
        TextOrIds | None,
        Field(description="What is boosted, one token; None for the end tokens."),
    ] = None

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if self.gen_length_token is None and not prompt.eos_token_ids:
            raise OptionError(
                "gen_length_boost raises end tokens, and there are none: expected eos_token_id, "
                "gen_length_token, or a model that has end tokens",
                name="gen_length_boost",
                value=self.gen_length_boost,
            )

    @override
    def start(self, session: Session) -> ProcessorRun:
        token = None
        if self.gen_length_token is not None:
            tokens = tokens_of(self.gen_length_token, session, "gen_length_token")
            if len(tokens) != 1:
                raise OptionError(
                    f"gen_length_token={self.gen_length_token!r} has {len(tokens)} tokens: "
                    "expected one",
                    name="gen_length_token",
                    value=self.gen_length_token,
                )
            (token,) = tokens
        return _Run(self, session, token)


class _Run:
    """A boost at work; it needs no memory, as rows know what they have said."""

    def __init__(self, boost: GenLengthBoost, session: Session, token: int | None) -> None:
        self.boost, self.session, self.token = boost, session, token

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Add to the logits of what ends each row."""
        boost, power = self.boost.gen_length_boost, self.boost.gen_length_power
        due = [
            (seat, token, boost * (row.grown / 10) ** power)
            for seat, row in enumerate(rows.records)
            if boost and self._may_end(row.new_tokens)
            for token in ([self.token] if self.token is not None else row.prompt.eos_token_ids)
            if token < logits.shape[1]  # a config may name an end token that is none
        ]
        if not due:
            return logits
        seats, tokens, nats = zip(*due, strict=True)
        where = torch.tensor([seats, tokens], dtype=torch.int64, device=logits.device).unbind(0)
        return logits.index_put(where, logits.new_tensor(nats), accumulate=True)

    def _may_end(self, new: list[int]) -> bool:
        """Whether a row that wrote this is boosted here."""
        if self.token is not None and self.token in new:
            return False
        if not self.boost.gen_length_sentences:
            return True
        text = self.session.vocabulary.decode(new[-_WINDOW:]).rstrip(_BEHIND)
        return text.endswith(_ENDS)
