"""XTC, exclude top choices: now and then all likely tokens but one go."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Int64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TextOrIds,
    TokenizerError,
    tokens_of,
)


class XtcProbability(LogitsProcessor):
    """With probability `q`, rules out the tokens of `p_i >= t` but the least likely of them.

    Each row decides for itself at each token. Where fewer than two tokens reach `t` nothing
    happens. Tokens that tie with the least likely one stay.

    Where a special token would go, none goes: otherwise texts and lines would never end, or, with
    the special token alone spared, end at once. So in text-generation-webui, where it was first;
    mlx-lm and exllamav3 spare special tokens alone, llama.cpp has none. By default they are the
    row's end tokens and the newline.

    text-generation-webui, pull request 6335, 2024, by "p-e-w".

    Raises:
        OptionError: One of `xtc_special_tokens` is not a single token, or does not exist.

    Example:
        Of the tokens of at least 0.2 the last is left: odds 0.25 : 0.15 : 0.1.

        >>> from gpt2sdk.testing import reweigh
        >>> xtc = XtcProbability(xtc_probability=1.0, xtc_threshold=0.2)
        >>> reweigh(xtc, [0.5, 0.25, 0.15, 0.1])
        [0.0, 0.5, 0.3, 0.2]
        >>> reweigh(xtc, [0.7, 0.15, 0.1, 0.05])
        [0.7, 0.15, 0.1, 0.05]
    """

    stage: ClassVar[Stage] = Stage.RANDOM

    xtc_probability: Annotated[
        float, Field(ge=0.0, le=1.0, description="How often likely tokens go; 0 is off.")
    ] = 0.0
    xtc_threshold: Annotated[
        float,
        Field(ge=0.0, le=0.5, description="Probability from which a token is a likely one."),
    ] = 0.1
    xtc_special_tokens: Annotated[
        tuple[TextOrIds, ...] | None,
        Field(
            description="Tokens with which nothing goes, as texts or lists of one id; None for end "
            "tokens and the newline."
        ),
    ] = None

    @override
    def start(self, session: Session) -> ProcessorRun:
        special = torch.tensor(sorted(set(self._special(session))), dtype=torch.int64)
        ends = self.xtc_special_tokens is None
        return _Run(self, special.to(session.device), ends)

    def _special(self, session: Session) -> Iterator[int]:
        if self.xtc_special_tokens is None:
            yield from _newline(session)
        for written in self.xtc_special_tokens or ():
            tokens = tokens_of(written, session, "xtc_special_tokens")
            if len(tokens) > 1:
                raise OptionError(
                    f"xtc_special_tokens has {written!r}, which is {len(tokens)} tokens: expected "
                    "single ones",
                    name="xtc_special_tokens",
                    value=written,
                    expected="single tokens",
                )
            yield from tokens


def _newline(session: Session) -> Iterator[int]:
    """The newline, where the tokenizer and the model have one."""
    try:
        tokens = tokens_of("\n", session, "xtc_special_tokens")
    except (TokenizerError, OptionError):
        return
    if len(tokens) == 1:
        yield from tokens


@dataclass(frozen=True)
class _Run:
    """The tokens with which nothing goes.

    Attributes:
        options: The component.
        special: Those of all rows.
        ends: Whether the end tokens of each row are among them.
    """

    options: XtcProbability
    special: Int64[Tensor, " tokens"]
    ends: bool

    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.options.xtc_probability == 0.0:
            return logits
        likely = (logits.softmax(-1) >= self.options.xtc_threshold) & logits.isfinite()
        least = logits.where(likely, torch.inf).amin(-1, keepdim=True)
        going = likely & (logits > least)
        due = rows.uniform() < self.options.xtc_probability
        due &= ~self._would_end(going, rows)
        return logits.masked_fill(going & due[:, None], -torch.inf)

    def _would_end(self, going: Bool[Tensor, "rows vocab"], rows: Rows) -> Bool[Tensor, " rows"]:
        """Whether a special token is among those that would go."""
        found = going[:, self.special].any(-1)
        if self.ends:
            ends = rows.eos_token_ids
            exist = (ends >= 0) & (ends < going.shape[1])
            found |= (going.gather(1, ends.where(exist, 0)) & exist).any(-1)
        return found
