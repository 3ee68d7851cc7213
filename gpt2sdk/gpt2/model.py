"""GPT-2: a stack of blocks between a table of tokens and the same table read backwards.

Radford, Wu, Child, Luan, Amodei and Sutskever (2019), "Language Models are Unsupervised Multitask
Learners". Names of modules and parameters are those of the original checkpoint.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import ClassVar, cast

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from gpt2sdk.components.causal_lm import KeyValueCache, Scores
from gpt2sdk.components.placement import Residency
from gpt2sdk.components.quantized import QuantizedTable
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import OptionError, PlacementError
from gpt2sdk.gpt2.attention import Attend, CausalAttention
from gpt2sdk.gpt2.batch import checked
from gpt2sdk.gpt2.block import Block
from gpt2sdk.gpt2.cache import Cache
from gpt2sdk.gpt2.feed import Feed, check_fed
from gpt2sdk.gpt2.head import Embedding, TiedHead
from gpt2sdk.gpt2.initialization import initialize
from gpt2sdk.gpt2.linear import Linear
from gpt2sdk.gpt2.observed import Observed
from gpt2sdk.gpt2.output import GPT2Output, next_token_loss
from gpt2sdk.gpt2.prepared import Prepared
from gpt2sdk.gpt2.route import Parts, Route
from gpt2sdk.gpt2.shallow import ShallowModel
from gpt2sdk.gpt2.walk import walk


class GPT2(Observed, Prepared):
    """A GPT-2 language model.

    Two ways lead through it. `forward` takes whole sequences, for training and analysis. `score`
    feeds a cache, for generation; after `prepare` a runner computes it with packed weights.

    Matrices are stored `[out, in]`, as `torch.nn.Linear` does; the original checkpoint has those
    in `stored_transposed` the other way round (docs/decisions/0003-linear-orientation.md).

    Several threads may score, copy, save and unpack one model: who computes with packed weights
    goes on with them while another unpacks.

    Attributes:
        config: Its sizes and switches.
        gradient_checkpointing: Compute activations again in the backward pass instead of keeping
            them: less memory for about a third more time. Counts while training.
        stored_transposed: The ends of the parameters' names that are `[in, out]` in the original
            checkpoint.

    Example:
        >>> config = GPT2Config(vocab_size=7, n_positions=8, n_embd=4, n_layer=1, n_head=2)
        >>> model = GPT2(config)
        >>> model(torch.tensor([[3, 1, 4]])).logits.shape
        torch.Size([1, 3, 7])
        >>> cache = model.make_cache(2)
        >>> model.score(cache, [[3, 1], [4]], keep=[2, 1]).logits.shape, cache.lengths
        (torch.Size([3, 7]), (2, 1))
    """

    stored_transposed: ClassVar[tuple[str, ...]] = (
        "attn.c_attn.weight",
        "attn.c_proj.weight",
        "mlp.c_fc.weight",
        "mlp.c_proj.weight",
    )

    def __init__(self, config: GPT2Config, *, seed: int = 0) -> None:
        """Build the model with fresh weights; on the meta device, without any.

        Args:
            config: Its sizes and switches.
            seed: What the weights are drawn with: any integer.
        """
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.wte: Embedding | QuantizedTable = Embedding(config.vocab_size, config.n_embd)
        self.wpe = Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.lm_head: nn.Module = (
            TiedHead()
            if config.tie_word_embeddings
            else Linear(config.n_embd, config.vocab_size, bias=False)
        )
        self._route: Route | None = None
        if self.device.type != "meta":
            initialize(self, config, seed)

    @property
    def vocab_size(self) -> int:
        """How many logits a position has."""
        return self.config.vocab_size

    @property
    def context_length(self) -> int:
        """How many tokens a sequence can have."""
        return self.config.n_positions

    @property
    def layers(self) -> int:
        """How many blocks there are."""
        return self.config.n_layer

    @property
    @override
    def device(self) -> torch.device:
        """Where tokens are wanted and logits come out: where the head computes."""
        return self._route.device(self._route.head) if self._route else self.ln_f.weight.device

    @property
    def residency(self) -> Residency | None:
        """What brings the parts to where they compute; `None` if all are on `device`."""
        return self._route.residency if self._route else None

    def set_residency(self, residency: Residency | None) -> None:
        """Let a residency bring the parts from now on, or none.

        Such a model has no gradients where parts come and go, and is neither moved nor copied.

        Args:
            residency: What took all of this model's parts over; `None` once they are all on one
                device again.
        """
        self.unpack()
        tied = isinstance(self.lm_head, TiedHead)
        self._route = Route(residency, self.layers, tied=tied) if residency else None

    @override
    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        labels: Int[Tensor, "batch time"] | None = None,
        *,
        lengths: Int[Tensor, " batch"] | None = None,
        hidden_states: bool = False,
        attentions: bool = False,
    ) -> GPT2Output:
        """Run over whole sequences, padded at their right.

        Args:
            tokens: Token ids. What stands at or behind a row's length is not looked at.
            labels: What each position is; the prediction for it stands one before, so `tokens`
                themselves are right. −100 is left out of the mean, as is padding.
            lengths: How many tokens each row has; all by default. What comes out behind them means
                nothing.
            hidden_states: Return the residual streams.
            attentions: Return the attention weights; attention is then computed step by step.

        Raises:
            OptionError: If a token id is out of range; looked for on CPUs only, since a GPU would
                have to be waited for.
            PackedError: If the weights are packed and gradients are wanted.
            ContextOverflowError: If there are more positions than the context window has.
            PlacementError: If parts come and go while the model is trained.
        """
        tokens, labels = checked(tokens, labels, lengths, self.config)
        attend = CausalAttention(keep_maps=attentions)
        streams = []
        parts = Parts.of(self, self._route)
        gradients = self._route.gradients(training=self.training) if self._route else nullcontext()
        with gradients:
            x = self.drop(
                parts.wte(tokens) + parts.wpe(torch.arange(tokens.shape[1], device=tokens.device))
            )
            for block in parts.blocks:
                streams.append(x)
                x = self._run(block, x, attend)
            x = parts.ln_f(x)
            logits = parts.head(x)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return GPT2Output(
            logits,
            None if labels is None else next_token_loss(logits, labels),
            tuple(each.to(logits.device) for each in (*streams, x)) if hidden_states else None,
            tuple(each.to(logits.device) for each in attend.maps) if attentions else None,
        )

    def make_cache(self, slots: int, depth: int | None = None) -> Cache:
        """Return an empty cache; it grows by itself. `depth`: how many first blocks fill it."""
        config = self.config
        return Cache(
            slots,
            layers=config.n_layer,
            depth=depth,
            heads=config.n_head,
            head_size=config.head_size,
            limit=config.n_positions,
        )

    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed `tokens[i]` to slot `i`, after what it holds, and score its last positions.

        No gradients, and no dropout even while training. The cache is changed only if all goes
        well.

        Args:
            cache: From `make_cache` of this model.
            tokens: Token ids for each slot; an empty list leaves the slot alone.
            keep: How many of the last fed positions of each slot are scored.
            hidden_states: The layers, 0 to `layers`, before which the residual stream is wanted at
                the scored positions; `layers` is before the final norm, while the last of
                `forward`'s hidden states is behind it.

        Raises:
            OptionError: If an argument doesn't fit the cache or the model; it names the token that
                is out of range.
            ContextOverflowError: If a slot would hold more than the context window.
        """
        if not isinstance(cache, Cache) or not cache.fits(self.config):
            raise OptionError("cache: expected one that this model's make_cache returned")
        for layer in hidden_states:
            if not 0 <= layer <= cache.depth:
                what = f"layers from 0 to {cache.depth}"
                raise OptionError(
                    f"hidden_states {layer}: expected {what}",
                    name="hidden_states",
                    value=layer,
                    expected=what,
                )
        if not check_fed(cache, tokens, keep, self.vocab_size):
            nothing = torch.zeros(0, self.config.n_embd, device=self.device)
            logits = torch.zeros(0, self.vocab_size, device=self.device)
            return Scores(logits, dict.fromkeys(hidden_states, nothing))
        running = self._ready()
        if running is not None:
            return running.score(cache, tokens, keep, hidden_states)
        feed = Feed(cache, tokens, keep, like=self.like())
        scores = Scores(*walk(self, self._route, feed, hidden_states))
        feed.finish()
        return scores

    def shallow(self, layers: int) -> ShallowModel:
        """Return the first blocks, the last norm and the head as a model, with these weights."""
        return ShallowModel(self, layers)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self._check_unplaced("moved or converted")
        with self._exchanging:
            self._release()
            self._route = None
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]

    @override
    def __getstate__(self) -> dict[str, object]:
        self._check_unplaced("copied or pickled")
        return {**super().__getstate__(), "_route": None}

    def _check_unplaced(self, what: str) -> None:
        if self._route is not None and not (self._route.settled and self._route.uniform):
            raise PlacementError.of_placed(what)

    def _run(
        self, block: Callable[[Tensor, Attend], Tensor], x: Tensor, attend: CausalAttention
    ) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return cast("Tensor", checkpoint(block, x, attend, use_reentrant=False))
        return block(x, attend)
