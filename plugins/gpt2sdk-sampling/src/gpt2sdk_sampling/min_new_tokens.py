"""Minimum length: rows do not end too soon."""

from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, OptionError, Prompt, Rows, Stage
from gpt2sdk_sampling.history import rule_out


class MinNewTokens(LogitsProcessor):
    """Rules out the end tokens until a row has grown by n tokens.

    Only tokens that end a row are held back: a stop string or a criterion may still end it
    sooner. Without end tokens, or where rows may not grow so far, it is an error.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1], [0, 1, 1]], eos_token_ids=[2])  # grown by 1 and 2
        >>> process(MinNewTokens(min_new_tokens=2), [[1.0, 1.0, 1.0]] * 2, rows).tolist()
        [[1.0, 1.0, -inf], [1.0, 1.0, 1.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 20

    min_new_tokens: Annotated[
        int, Field(ge=0, description="Least length of a completion, in tokens; 0 is off.")
    ] = 0

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if not prompt.eos_token_ids:
            raise OptionError(
                "min_new_tokens holds end tokens back, and there are none: expected eos_token_id, "
                "or a model that has end tokens",
                name="min_new_tokens",
                value=self.min_new_tokens,
            )
        if self.min_new_tokens > prompt.max_new_tokens:
            raise OptionError(
                f"min_new_tokens={self.min_new_tokens}: expected at most max_new_tokens, which is "
                f"{prompt.max_new_tokens} for prompt {prompt.index}",
                name="min_new_tokens",
                value=self.min_new_tokens,
                expected=f"at most {prompt.max_new_tokens}",
            )

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        short = rows.lengths - rows.prompt_lengths < self.min_new_tokens
        ends = rows.eos_token_ids
        # Rows have different numbers of end tokens, and a config may name one that is none.
        exist = (ends >= 0) & (ends < logits.shape[1])
        return rule_out(logits, ends.where(exist, 0), short[:, None] & exist)
