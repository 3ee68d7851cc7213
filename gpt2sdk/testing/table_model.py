"""A model without weights: its logits are a fixed function of the last tokens it was fed."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk.components.causal_lm import KeyValueCache, Scores
from gpt2sdk.rng import purpose_key

EMBED = 8
"""Width of the hidden states."""


class TableCache:
    """What each slot was fed, token by token."""

    def __init__(self, slots: int) -> None:
        self.slots: list[list[int]] = [[] for _ in range(slots)]

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each slot holds."""
        return [len(slot) for slot in self.slots]

    def fork(self, parents: Sequence[int]) -> None:
        """Slot `i` becomes a copy of slot `parents[i]`; -1 makes an empty one."""
        self.slots = [list(self.slots[parent]) if parent >= 0 else [] for parent in parents]

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what each slot holds beyond its given length."""
        for slot, length in zip(self.slots, lengths, strict=True):
            del slot[length:]

    @property
    def token_nbytes(self) -> int:
        """Bytes of a token that is copied out."""
        return 8

    def copy_out(self, slot: int, start: int, stop: int) -> list[Int[Tensor, "tokens 1"]]:
        """Return the tokens that a slot was fed there."""
        return [torch.tensor(self.slots[slot][start:stop])[:, None]]

    def copy_in(self, slot: int, held: Sequence[Int[Tensor, "tokens 1"]]) -> None:
        """Put tokens behind what a slot holds."""
        self.slots[slot] += held[0][:, 0].tolist()


class TableModel:
    """A `CausalLM` in which wrong bookkeeping shows as wrong tokens.

    The logits after a position are random, but always the same for the same last `order` tokens
    that the cache really holds there. Nothing is shared between slots, so rows are computed alike
    whatever else is in the call.

    Attributes:
        vocab_size: How many tokens there are.
        context_length: How many tokens a slot can be fed; more are an error.
        layers: How many layers of hidden states there are besides the embedding.
        device: Where logits come out.
        calls: How often the model was run.
        tokens_fed: How many tokens it was fed, over all calls.

    Example:
        >>> model = TableModel(vocab_size=5)
        >>> once, twice = model.make_cache(1), model.make_cache(1)
        >>> together = model.score(once, [[3, 1]], [1]).logits
        >>> _ = model.score(twice, [[3]], [1])
        >>> torch.equal(together, model.score(twice, [[1]], [1]).logits)
        True
        >>> model.calls, model.tokens_fed
        (3, 4)
    """

    def __init__(
        self,
        vocab_size: int = 28,
        *,
        order: int = 2,
        context_length: int = 256,
        scale: float = 3.0,
        bias: Mapping[int, float] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Make up a model.

        Args:
            vocab_size: How many tokens there are.
            order: How many last tokens the logits depend on.
            context_length: How many tokens a slot can be fed.
            scale: Standard deviation of the logits, in nats.
            bias: Added to the logits of single tokens, such as one that ends a row.
            seed: Other seeds make other models.
            device: Where logits come out.
        """
        self.vocab_size = vocab_size
        self.context_length = context_length
        self.layers = 2
        self.device = torch.device(device)
        self.calls = 0
        self.tokens_fed = 0
        self._order = order
        self._scale = scale
        self._bias = torch.zeros(vocab_size)
        for token, value in (bias or {}).items():
            self._bias[token] = value
        self._seed = seed
        self._drawn: dict[str, Tensor] = {}

    def shallow(self, layers: int) -> "TableModel":
        """Return a model that knows as many last tokens as it has layers, else the same.

        >>> model = TableModel(vocab_size=5, order=2)
        >>> one, two = ([model.make_cache(1), [fed], [1]] for fed in ([3], [2, 3]))
        >>> early = model.shallow(1)
        >>> torch.equal(model.score(*one).logits, early.score(*two).logits)
        True
        """
        model = TableModel(
            self.vocab_size,
            order=layers,
            context_length=self.context_length,
            scale=self._scale,
            seed=self._seed,
            device=self.device,
        )
        model.layers, model._bias = layers, self._bias
        return model

    def make_cache(self, slots: int) -> TableCache:
        """Return an empty cache."""
        return TableCache(slots)

    def origin(self) -> str:
        """Caches hold tokens, whatever the logits are."""
        return "tokens"

    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed `tokens[i]` to slot `i`, after what it holds, and score its last positions."""
        if not isinstance(cache, TableCache):
            message = f"expected a cache made by this model, got {type(cache).__name__}"
            raise TypeError(message)
        self.calls += 1
        contexts = []
        for slot, fed, kept in zip(cache.slots, tokens, keep, strict=True):
            self.tokens_fed += len(fed)
            slot.extend(fed)
            if len(slot) > self.context_length:
                message = f"fed {len(slot)} tokens into a window of {self.context_length}"
                raise ValueError(message)
            contexts += [
                tuple(slot[max(0, end - self._order) : end])
                for end in range(len(slot) - kept + 1, len(slot) + 1)
            ]
        logits = [self._draw("logits", self.vocab_size, each) for each in contexts]
        return Scores(
            self._stack(logits, self.vocab_size) * self._scale + self._bias.to(self.device),
            {
                layer: self._stack(
                    [self._draw(f"{layer}", EMBED, each) for each in contexts], EMBED
                )
                for layer in hidden_states
            },
        )

    def final_norm(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        """Return them as they are: there is no norm."""
        return hidden

    def unembed(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return what a fixed random head makes of hidden states; the last layer's is no logits."""
        head = self._stack(
            [self._draw(f"head {each}", self.vocab_size, ()) for each in range(EMBED)], 0
        )
        return hidden @ head

    def _stack(self, vectors: Sequence[Tensor], width: int) -> Tensor:
        rows = torch.stack(list(vectors)) if vectors else torch.zeros(0, width)
        return rows.to(self.device)

    def _draw(self, what: str, width: int, context: tuple[int, ...]) -> Tensor:
        """Standard normal numbers, the same ones for the same question."""
        question = f"{self._seed} {what} {context}"
        if question not in self._drawn:
            generator = torch.Generator().manual_seed(purpose_key(question))
            self._drawn[question] = torch.randn(width, generator=generator)
        return self._drawn[question]
