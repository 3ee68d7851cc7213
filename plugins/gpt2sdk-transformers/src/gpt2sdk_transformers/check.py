"""Makes sure that rows fed one by one get the logits that the network itself computes.

What a network does beside its attention is its own affair, and a new one may do what nobody
expected: so every model that is loaded is asked once, on a few tokens, before anyone relies on it.
"""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import CheckpointError

if TYPE_CHECKING:
    from gpt2sdk_transformers.model import TransformersLM

_LENGTH = 12
# In units of the logits' spread: rounding in float32, and in 16 bits or with quantized weights.
_EXACT, _ROUGH = 2e-3, 0.15


def check_scores(model: "TransformersLM") -> None:
    """Compare logits of rows with those of the network's own code; nothing for meta models.

    Raises:
        CheckpointError: If they differ.
    """
    if model.device.type == "meta":
        return
    length = min(_LENGTH, model.context_length)
    tokens = [(7 * place + 3) % model.vocab_size for place in range(length)]
    wanted = _own(model, tokens)
    cache, part = model.make_cache(2), max(1, length // 3)
    # The second row is one token behind the other, so that positions differ in a call.
    first = model.score(cache, [tokens[:part], tokens[: part - 1]], [part, 0]).logits
    rest = tokens[part:], tokens[part - 1 : -1]
    counts = [len(row) for row in rest]
    scores = model.score(cache, rest, counts, hidden_states=[model.layers])
    own, beside = scores.logits[: counts[0]], scores.logits[counts[0] :]
    found = torch.cat([first, own])
    again = model.unembed(model.final_norm(scores.hidden_states[model.layers][: counts[0]]))
    exact = next(model.parameters()).dtype in (torch.float32, torch.float64)
    exact = exact and not model.quantized
    limit, distance = (_EXACT, _worst) if exact else (_ROUGH, _usual)
    for what, off in (
        ("rows fed in parts", distance(found, wanted)),
        ("rows beside another one", distance(beside, wanted[part - 1 : -1])),
        ("its last norm and head by themselves", distance(again, wanted[part:])),
    ):
        if not off <= limit:
            raise CheckpointError(
                f"{type(model.network).__name__}: {what} have other logits than transformers "
                f"computes (by {off:.2g} of their spread): this model is not offered; please "
                "report it with its config.json"
            )


def _own(model: "TransformersLM", tokens: list[int]) -> Float[Tensor, "tokens vocab"]:
    """Return what the network computes by transformers' own attention, without a cache."""
    ids = torch.tensor([tokens], device=model.device)
    with torch.no_grad(), model.as_in_transformers():
        logits: Tensor = model.network(input_ids=ids, use_cache=False, return_dict=True).logits
    return logits[0].float()


def _worst(found: Tensor, wanted: Tensor) -> float:
    """Return how far off the worst token is."""
    return float(_distances(found, wanted).max())


def _usual(found: Tensor, wanted: Tensor) -> float:
    """Return how far off half of the tokens are at least.

    Not the worst: near a tie between two experts, rounding decides, and a token goes elsewhere.
    """
    return float(_distances(found, wanted).median())


def _distances(found: Tensor, wanted: Tensor) -> Float[Tensor, " tokens"]:
    """Return how far off tokens are, by the root of the mean square."""
    spread = wanted.std().clamp(min=1e-6)
    return (found - wanted).square().mean(dim=-1).sqrt() / spread
