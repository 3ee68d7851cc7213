"""A draft model: a smaller model proposes, and the session's own scores what it proposed."""

from functools import lru_cache
from pathlib import PurePath
from typing import Annotated

import torch
from jaxtyping import Int
from pydantic import Field, field_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    CALLER_ONLY_RULE,
    CausalLM,
    Drafter,
    DrafterRun,
    Generator,
    OptionError,
    Rows,
    Session,
    Vocabulary,
)
from gpt2sdk_drafters.draft_cache import DraftCache
from gpt2sdk_drafters.drafting_model import DraftingModel, confident, go_on, padded
from gpt2sdk_drafters.relative_cost import relative_cost
from gpt2sdk_drafters.translation import Translation, alike


class DraftModel(Drafter):
    """Proposes what a smaller model picks, with the same processors, sampler and random numbers.

    What the session draws is the argmax of `z - log E`, with exponential numbers `E` of each token
    (docs/decisions/0013-draws-are-races.md). The draft's logits race with the same numbers, the
    later draws' own, behind the same temperature and truncations: so where both models agree about
    the distribution, they draw the same token, be it ever so improbable; and at a total variation
    distance `D` with probability `(1 - D) / (1 + D)` at least. Daliri, Musco and Suresh, "Coupling
    without communication and drafter-invariant speculative decoding", 2024, arXiv:2408.07978. No
    proposal is accepted or refused by chance, as in Leviathan et al., 2022, arXiv:2211.17192, and
    Chen et al., 2023, arXiv:2302.01318; so tokens are those of a call without a drafter.

    The model keeps a cache of its own, in which each row's new tokens are read once. A model with
    another tokenizer is asked by text: the row's end in its tokens, its greedy continuation back in
    the row's, as in Timor et al., "Accelerating LLM inference with lossless speculative decoding
    algorithms for heterogeneous vocabularies", 2025, arXiv:2502.05202, and in transformers'
    universal assisted decoding.

    Example:
        >>> from gpt2sdk.testing import Letters, TableModel
        >>> letters = Letters("abc")
        >>> gen = Generator(TableModel(3), letters, decoder=letters)
        >>> drafter = DraftModel(assistant_model=TableModel(3), assistant_cost=0.1)
        >>> result = gen.generate("ab", seed=7, drafter=drafter, max_new_tokens=32)
        >>> result.usage.drafted == result.usage.accepted > 0
        True
    """

    assistant_model: Annotated[
        object,
        CALLER_ONLY_RULE,
        Field(
            description="A Generator, or what one loads: a folder, a hub id, the name of a source. "
            "Or a bare model with the session's own tokens."
        ),
    ]
    assistant_confidence_threshold: Annotated[
        float,
        Field(ge=0.0, le=1.0, description="Least probability of a proposed token; 0 is any."),
    ] = 0.0
    assistant_cost: Annotated[
        float | None,
        Field(
            ge=0.0,
            description="What a token of it takes, in calls of the session's model; by default "
            "guessed by sizes, and by half of that for a quantized one.",
        ),
    ] = None

    @classmethod
    @override
    def example_options(cls) -> dict[str, object]:
        from gpt2sdk.testing import TableModel  # noqa: PLC0415 - the checks' tools

        return {"assistant_model": TableModel(29, seed=3)}

    @field_validator("assistant_model")
    @classmethod
    def _check_model(cls, model: object) -> object:
        if isinstance(model, PurePath):
            return str(model)
        if isinstance(model, str | Generator | CausalLM):
            return model
        raise ValueError("expects a Generator, a model, or what Generator.from_pretrained loads")

    @override
    def start(self, session: Session) -> DrafterRun:
        """Begin a session; a model that is named is loaded, unless it was the last one.

        Raises:
            OptionError: A bare model has not as many tokens as the session's.
            CheckpointError: There is no model of that name.
        """
        model, language, _ = self.found(session)
        if language is None and model.vocab_size != session.model.vocab_size:
            raise OptionError(
                f"assistant_model has {model.vocab_size} tokens, the session's model "
                f"{session.model.vocab_size}: give a Generator, so that its tokenizer is known",
                name="assistant_model",
                value=model,
            )
        confidence = self.assistant_confidence_threshold
        if language is None or alike(language, session.vocabulary):
            return DraftingModel(session, model, confidence)
        return TranslatedModel(model, Translation(session.vocabulary, language), confidence)

    @override
    def cost(self, session: Session) -> float:
        if self.assistant_cost is not None:
            return self.assistant_cost
        model, _, quantized = self.found(session)
        return relative_cost(model, session.model) * (0.5 if quantized else 1.0)

    def found(self, session: Session) -> tuple[CausalLM, Vocabulary | None, bool]:
        """The model; its tokenizer, if it is known; whether it is quantized."""
        found = self.assistant_model
        if isinstance(found, str):
            found = load(found, session.device)
        if isinstance(found, Generator):
            return found.model, found.tokenizer, found.quantizer is not None
        if not isinstance(found, CausalLM):
            raise TypeError(type(found).__name__)
        return found, None, False


class TranslatedModel:
    """A model with another tokenizer: it continues the rows' texts, greedily.

    Random numbers belong to token ids, which are others there.
    """

    def __init__(self, model: CausalLM, translation: Translation, confidence: float) -> None:
        """Start.

        Args:
            model: What proposes.
            translation: To its tokens and back.
            confidence: A token that it finds less probable ends a proposal.
        """
        self._translation = translation
        self._confidence = confidence
        self._cache = DraftCache(model)

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, padded with -1."""
        histories = rows.histories()
        theirs = [self._translation.there(history) for history in histories]

        def pick(logits: Tensor, _: list[int]) -> list[int]:
            return confident(logits, logits.argmax(-1).tolist(), self._confidence)

        drafts = go_on(self._cache, rows.index, theirs, k, pick)
        found = [
            self._translation.back(history, text, draft) if draft else []
            for history, text, draft in zip(histories, theirs, drafts, strict=True)
        ]
        return padded(found, k, rows)


@lru_cache(maxsize=1)
def load(name: str, device: torch.device) -> Generator:
    """Load a model; the last one stays in memory, since each call asks anew."""
    return Generator.from_pretrained(name, device=device)
