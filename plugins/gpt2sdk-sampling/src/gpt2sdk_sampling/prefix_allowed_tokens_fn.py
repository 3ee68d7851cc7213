"""Prefix-constrained rows: a function says which tokens may come next."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from jaxtyping import Int64
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
    check_ids,
)


def _from_the_last(_: int, tokens: Tensor) -> Iterable[int]:
    """Allow a and the letters from the last one on: a function to try the component with."""
    return [0, *range(int(tokens[-1]), 29)]


class PrefixAllowedTokensFn(LogitsProcessor):
    """Rules out all tokens but those that a function allows after what a row has so far.

    The function is called for each row at each step with the number of the row's prompt in its
    call and the row's tokens, its prompt among them, as an int64 tensor of one axis on the CPU,
    without padding: the two arguments that transformers gives. It returns token ids, at least one.
    It must depend on its arguments only, as it may be asked again, and about beams that are
    dropped.

    As in transformers. There a prompt whose beams have none of the allowed tokens left gets them
    back, though another option ruled them out; here such a beam is dropped, and a row without a
    token is an error.

    Cao, De Cao, Izacard, Riedel and Petroni, "Autoregressive entity retrieval", 2021,
    arXiv:2010.00904.

    Raises:
        OptionError: While generating: the function returns nothing, or what is no token.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> counting = lambda prompt, tokens: [tokens[-1] + 1, 0]
        >>> up = PrefixAllowedTokensFn(prefix_allowed_tokens_fn=counting)
        >>> process(up, [[1.0, 2.0, 3.0]], make_rows([[0, 1]])).tolist()
        [[1.0, -inf, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 30

    prefix_allowed_tokens_fn: Annotated[
        Callable[[int, Tensor], Iterable[int]] | None,
        Field(
            description="A function (number of the prompt, tokens) that returns the ids of the "
            "tokens that may come next."
        ),
    ] = None

    @classmethod
    @override
    def example_options(cls) -> dict[str, object]:
        return {"prefix_allowed_tokens_fn": _from_the_last}

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.prefix_allowed_tokens_fn is None:
            return self
        return _Run(self.prefix_allowed_tokens_fn, session)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True)
class _Run:
    """The function, and the session whose tokens it names."""

    function: Callable[[int, Tensor], Iterable[int]]
    session: Session

    def process(self, logits: Logits, rows: Rows) -> Logits:
        kept = torch.full_like(logits, -torch.inf)
        for place, row in enumerate(rows.records):
            allowed = self._allowed(row.prompt.index, row.tokens).to(logits.device)
            kept[place].index_copy_(0, allowed, logits[place].index_select(0, allowed))
        return kept

    def _allowed(self, prompt: int, tokens: list[int]) -> Int64[Tensor, " tokens"]:
        answer = self.function(prompt, torch.tensor(tokens, dtype=torch.int64))
        allowed = _listed(answer)
        if not len(allowed) or allowed.min() < 0:
            raise OptionError(
                f"prefix_allowed_tokens_fn returned {answer!r:.60} for prompt {prompt} after "
                f"{len(tokens)} tokens: expected ids of one token or more, as a list of whole "
                "numbers",
                name="prefix_allowed_tokens_fn",
                value=answer,
                expected="ids of one token or more",
            )
        check_ids((int(allowed.max()),), self.session, "prefix_allowed_tokens_fn")
        return torch.from_numpy(allowed)


def _listed(answer: object) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the numbers that were given; none where they are no whole numbers."""
    none = np.empty(0, dtype=np.int64)
    # Bytes would be read eight at a time, and a mask as tokens 0 and 1.
    if isinstance(answer, bytes | bytearray | memoryview | str):
        return none
    try:
        listed = answer.tolist() if isinstance(answer, Tensor | np.ndarray) else list(answer)  # type: ignore[call-overload]
        if bool in set(map(type, listed)):
            return none
        # An array takes nothing but whole numbers, at several times the speed of a list.
        return np.frombuffer(array("q", listed), dtype=np.int64)
    except (TypeError, OverflowError):
        return none
