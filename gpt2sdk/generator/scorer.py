"""What says how likely texts are."""

from collections.abc import Sequence
from typing import overload

from gpt2sdk.components.records import Score
from gpt2sdk.generator.holder import ModelHolder
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.scoring import score_all
from gpt2sdk.generator.token_input import TokenInput
from gpt2sdk.streaming import TextDecoder


class Scorer(ModelHolder):
    """Scores texts with one model."""

    _decoder: TextDecoder

    @overload
    def score(
        self,
        text: str | Sequence[int],
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
    ) -> Score: ...

    @overload
    def score(
        self,
        text: list[str] | list[list[int]] | list[str | list[int]] | tuple[str, ...],
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
    ) -> list[Score]: ...

    @overload
    def score(
        self,
        text: TokenInput,
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
    ) -> Score | list[Score]: ...

    def score(
        self,
        text: PromptInput,
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
    ) -> Score | list[Score]:
        """Say how likely text is: every token's log-probability, perplexity, bits per byte.

        Long texts are read in windows that overlap, so that a token is predicted from at least
        `window - stride` tokens before it; near a text's beginning there are fewer. What texts and
        contexts have in common at their beginnings is read once.

        Args:
            text: One text, one list of token ids, or a list of such. A text's score does not
                depend on the others.
            window: The most tokens that a prediction sees, 2 or more; the model's context length
                by default.
            stride: How many tokens are scored with each window but the first, 1 to `window`; half
                of it by default. Fewer give each token more context and take longer.
            bos: Let the tokenizer's bos token, if it has one, stand before each text, so that the
                first token is scored as well. Otherwise that one only serves as context. A text
                that begins with the bos token does not get another one.
            context: What stands before the texts and is not scored itself: one for all, or one for
                each. It is encoded together with the text; a token that reaches from one into the
                other is scored. Of a context that does not fit, the end is read.

        Returns:
            A score, or a list of them for a list of texts.

        Raises:
            OptionError: A text is empty, or one token with nothing before it; there is not one
                context for each text; a token id, `window` or `stride` is out of range. Nothing has
                run then.
            TokenizerError: A text cannot be encoded.
            GenerationError: The model's logits are no numbers.
        """
        return score_all(
            text,
            self.model,
            self.tokenizer,
            self._decoder,
            window=window,
            stride=stride,
            bos=bos,
            context=context,
        )
