"""Sequence bias: the last token of a sequence is made likelier or less likely by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)
from gpt2sdk_sampling.sequences import Sequences


class SequenceBias(LogitsProcessor):
    """Adds a number to the logit of a sequence's last token where a row ends with those before.

    Written as a mapping from token ids, as a tuple, or a text to the bias; in JSON, and for
    sequences that occur twice, as a list of pairs, as in transformers. Biases that meet in one
    token add up. A sequence may begin in the prompt. Only its last token is biased: to lead a row
    into a sequence, bias its beginnings too, or use `phrase_bias`.

    A text stands for the tokens into which it is cut by itself. Within a text a word mostly has a
    blank before it, so `" cat"` is what is said there. The same letters cut into other tokens are
    not found; `phrase_bias` finds them.

    Values are transformers', and so is the rule. To rule a sequence out for good use `bad_words`.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> bias = SequenceBias(sequence_bias={(0,): 1.0, (1, 2): 5.0})
        >>> process(bias, [[0.0, 0.0, 0.0]] * 2, make_rows([[0, 1], [1, 0]])).tolist()
        [[1.0, 0.0, 5.0], [1.0, 0.0, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.BIAS
    rank: ClassVar[int] = 30

    sequence_bias: Annotated[
        tuple[tuple[TextOrIds, float], ...],
        Field(description="Token ids or texts, and what is added to their last token's logit."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        sequences = [tokens_of(each, session, "sequence_bias") for each, _ in self.sequence_bias]
        biased = list(zip(sequences, (bias for _, bias in self.sequence_bias), strict=True))
        alone = [(tokens[0], bias) for tokens, bias in biased if len(tokens) == 1]
        longer = [(tokens, bias) for tokens, bias in biased if len(tokens) > 1]
        return _Run(
            torch.tensor([token for token, _ in alone], dtype=torch.int64, device=session.device),
            torch.tensor([bias for _, bias in alone], device=session.device),
            Sequences([tokens for tokens, _ in longer]),
            [(tokens[-1], bias) for tokens, bias in longer],
        )


@dataclass(frozen=True)
class _Run:
    """What is always biased, on the session's device, and sequences with their ends and biases."""

    alone: Int64[Tensor, " tokens"]
    biases: Float[Tensor, " tokens"]
    sequences: Sequences
    ends: Sequence[tuple[int, float]]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        if len(self.alone):
            logits = logits.index_add(1, self.alone, self.biases.expand(len(rows), -1))
        due = [
            (place, *self.ends[number])
            for place, tokens in enumerate(rows.histories())
            for number in self.sequences.due(tokens)
        ]
        if not due:
            return logits
        places, tokens, biases = zip(*due, strict=True)
        where = torch.tensor([places, tokens], dtype=torch.int64, device=logits.device).unbind(0)
        return logits.index_put(where, logits.new_tensor(biases), accumulate=True)
