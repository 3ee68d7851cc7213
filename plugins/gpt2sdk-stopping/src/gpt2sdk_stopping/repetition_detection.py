"""Repetition detection: a row that is in a loop ends."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from typing_extensions import override

from gpt2sdk import Mask, Rows, StoppingCriterion


class RepetitionDetection(StoppingCriterion):
    """Ends a row whose last tokens are one pattern, several times over.

    A pattern has `repetition_detection_min_pattern_size` to `repetition_detection` tokens, and
    stands `repetition_detection_min_count` times in a row. The prompt does not count. What was
    repeated is part of the text. The rule is vLLM's, whose `repetition_detection` has these three
    as `min_pattern_size`, `max_pattern_size` and `min_count`; a penalty such as `dry_multiplier`
    keeps rows out of loops instead.

    Example:
        >>> from gpt2sdk.testing import ends, make_rows
        >>> loops = RepetitionDetection(repetition_detection=2, repetition_detection_min_count=3)
        >>> rows = make_rows([[9, 1, 2, 1, 2, 1, 2], [9, 2, 1, 2, 1, 2], [9, 5, 5, 5], [5, 5, 5]])
        >>> ends(loops, rows).tolist()
        [True, False, True, False]

    Raises:
        OptionError: The fewest tokens of a pattern are more than the most.
    """

    reason: ClassVar[str] = "loop"

    repetition_detection: Annotated[
        int, Field(ge=0, description="Most tokens of a pattern that is looked for; 0 is off.")
    ] = 0
    repetition_detection_min_pattern_size: Annotated[
        int, Field(ge=1, description="Fewest tokens of a pattern.")
    ] = 1
    repetition_detection_min_count: Annotated[
        int, Field(ge=2, description="How many times in a row a pattern has to stand there.")
    ] = 3

    @model_validator(mode="after")
    def _check_sizes(self) -> "RepetitionDetection":
        if 0 < self.repetition_detection < self.repetition_detection_min_pattern_size:
            raise ValueError(
                "expects repetition_detection_min_pattern_size up to repetition_detection: it "
                "would find nothing"
            )
        return self

    @override
    def check(self, rows: Rows) -> Mask:
        over = [self._is_loop(row.tokens, row.grown) for row in rows.records]
        return torch.tensor(over, dtype=torch.bool, device=rows.device)

    def _is_loop(self, tokens: Sequence[int], grown: int) -> bool:
        """Whether new tokens end with a pattern: they are those before them, but for the first one.

        `1 2 1 2 1 2` without its first two tokens is the same as without its last two.
        """
        count = self.repetition_detection_min_count
        most = min(self.repetition_detection, grown // count)
        return any(
            tokens[-1] == tokens[-1 - size]
            and tokens[-size * (count - 1) :] == tokens[-size * count : -size]
            for size in range(self.repetition_detection_min_pattern_size, most + 1)
        )
