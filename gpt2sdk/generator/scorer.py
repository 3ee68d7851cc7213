"""What says how likely texts are, and which of several is the likeliest."""

import threading
from collections.abc import Sequence
from typing import overload

from gpt2sdk.components.answers import Decision, Normalization
from gpt2sdk.components.records import Score
from gpt2sdk.generator.answering import answering
from gpt2sdk.generator.asking_words import CHOOSE_WORDS, SCORE_WORDS
from gpt2sdk.generator.choosing import Options, choose_all
from gpt2sdk.generator.prefix_holder import PrefixHolder
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.scoring import score_all
from gpt2sdk.generator.token_input import TokenInput


class Scorer(PrefixHolder):
    """Scores texts with one model."""

    @overload
    def score(
        self,
        text: str | Sequence[int],
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
        top: int = 0,
        cancel: threading.Event | None = None,
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
        top: int = 0,
        cancel: threading.Event | None = None,
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
        top: int = 0,
        cancel: threading.Event | None = None,
    ) -> Score | list[Score]: ...

    @answering(SCORE_WORDS)
    def score(
        self,
        text: PromptInput,
        *,
        window: int | None = None,
        stride: int | None = None,
        bos: bool = True,
        context: PromptInput | None = None,
        top: int = 0,
        cancel: threading.Event | None = None,
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
            top: How many of the likeliest tokens to name in the place of each scored one.
            cancel: An event that another thread may set: it is looked at before each model call.

        Returns:
            A score, or a list of them for a list of texts.

        Raises:
            OptionError: A text is empty, or one token with nothing before it; there is not one
                context for each text; a token id, `window` or `stride` is out of range. Nothing has
                run then.
            TokenizerError: A text cannot be encoded.
            GenerationError: The model's logits are no numbers, or `cancel` was set.
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
            prefixes=self.prefixes,
            top=top,
            cancel=cancel,
        )

    @overload
    def choose(
        self,
        prompt: str | Sequence[int],
        options: Options,
        *,
        normalization: Normalization = "sum",
        cancel: threading.Event | None = None,
    ) -> Decision: ...

    @overload
    def choose(
        self,
        prompt: list[str] | list[list[int]] | list[str | list[int]] | tuple[str, ...],
        options: Options,
        *,
        normalization: Normalization = "sum",
        cancel: threading.Event | None = None,
    ) -> list[Decision]: ...

    @overload
    def choose(
        self,
        prompt: TokenInput,
        options: Options,
        *,
        normalization: Normalization = "sum",
        cancel: threading.Event | None = None,
    ) -> Decision | list[Decision]: ...

    @answering(CHOOSE_WORDS)
    def choose(
        self,
        prompt: PromptInput,
        options: Options,
        *,
        normalization: Normalization = "sum",
        cancel: threading.Event | None = None,
    ) -> Decision | list[Decision]:
        """Say how likely each of several options is to follow a prompt; nothing is generated.

        `log p(option | prompt)` is the sum of its tokens' log-probabilities. The probabilities of a
        prompt's options are the softmax of these sums, or of their means. The prompt is read once
        for all options, and options that begin alike share their beginnings.

        Options follow the prompt as they are written, so a word wants the blank before it. Both are
        encoded together: where an option merges with the prompt's end, everything behind what all
        options have in common is compared, which is as fair. An option that another one begins
        with is never less likely than that one; a line break or full stop behind both says that
        they end there.

        Args:
            prompt: One text, one list of token ids, or a list of such, read as `generate` does. An
                empty text stands for the tokenizer's bos token.
            options: Texts or token ids: one list for all prompts, or one list for each.
            normalization: What options are compared by. "sum" is the log-probability of the whole
                option, lm-eval's `acc`; "token" its mean over tokens, sglang's
                `token_length_normalized`; "byte" its mean over UTF-8 bytes, lm-eval's `acc_bytes`.
            cancel: As for `score`.

        Returns:
            A decision, or a list of them for a list of prompts.

        Raises:
            OptionError: A prompt or an option is wrong, empty, or there twice. Nothing has run
                then.
            TokenizerError: A text cannot be encoded.
            ContextOverflowError: A prompt with an option does not fit the window.
            GenerationError: The model's logits are no numbers, it rules out all options, or
                `cancel` was set.
        """
        return choose_all(
            prompt,
            options,
            self.model,
            self.tokenizer,
            normalization=normalization,
            prefixes=self.prefixes,
            cancel=cancel,
        )
