"""A model at work as a drafter: token by token, ahead of the rows."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk import CausalLM, Rows, Session
from gpt2sdk_drafters.draft_cache import DraftCache

Pick = Callable[[Tensor, list[int]], list[int]]
"""From logits, and the numbers of the texts they continue, to a token for each; -1 for none."""


def go_on(
    cache: DraftCache,
    seats: Sequence[int],
    texts: Sequence[Sequence[int]],
    count: int,
    pick: Pick,
) -> list[list[int]]:
    """Return up to `count` tokens behind each text.

    Args:
        cache: What the model was fed.
        seats: Whose texts they are.
        texts: What is continued.
        count: Most tokens of each.
        pick: Picks tokens; a text for which it has none is not continued.
    """
    drafts: list[list[int]] = [[] for _ in texts]
    open_ = [at for at, text in enumerate(texts) if text]
    for _ in range(count):
        if not open_:
            break
        whole = [[*texts[at], *drafts[at]] for at in open_]
        logits = cache.next_logits([seats[at] for at in open_], whole)
        tokens = pick(logits, open_)
        for at, token in zip(open_, tokens, strict=True):
            if token >= 0:
                drafts[at].append(token)
        open_ = [at for at, token in zip(open_, tokens, strict=True) if token >= 0]
    return drafts


def padded(drafts: Sequence[Sequence[int]], count: int, rows: Rows) -> Int[Tensor, "rows k"]:
    """Return drafts as a tensor, each cut or padded with -1 to `count` tokens."""
    lines = [[*draft[:count], *[-1] * (count - len(draft))] for draft in drafts]
    return torch.tensor(lines, dtype=torch.int64, device=rows.device).view(len(lines), count)


def confident(logits: Tensor, tokens: Sequence[int], least: float) -> list[int]:
    """Return the tokens; -1 for those that have a probability below `least`.

    >>> confident(torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log(), [0, 1], 0.5)
    [0, -1]
    """
    if not least:
        return list(tokens)
    index = torch.tensor(tokens, device=logits.device)[:, None]
    chances = logits.float().softmax(-1).gather(1, index.clamp(min=0))[:, 0].tolist()
    return [token if chance >= least else -1 for token, chance in zip(tokens, chances, strict=True)]


class DraftingModel:
    """A model with the rows' own tokens that picks as the session will pick.

    Its logits go through the session's processors and sampler with the random numbers of the draws
    to come. So where both models have the same distribution, they draw the same token, however
    flat it is; a greedy draft would be drawn as seldom as it is probable.
    """

    def __init__(self, session: Session, model: CausalLM, confidence: float) -> None:
        """Start.

        Args:
            session: Whose rows they are.
            model: What proposes.
            confidence: A token that it finds less probable ends a proposal.
        """
        self._session = session
        self._confidence = confidence
        self._cache = DraftCache(model)

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, padded with -1."""
        trial = self._session.rehearse(rows)
        ends = [row.prompt.eos_token_ids for row in rows.records]
        over: set[int] = set()

        def pick(logits: Tensor, index: list[int]) -> list[int]:
            fitting = fit(logits.to(rows.device), self._session.model.vocab_size)
            tokens = trial.choose(fitting, index).tolist()
            tokens = confident(fitting, tokens, self._confidence)
            tokens = [-1 if at in over else token for at, token in zip(index, tokens, strict=True)]
            whole = [-1] * len(rows)
            for at, token in zip(index, tokens, strict=True):
                whole[at] = token
                # Behind an end nothing is picked any more.
                if token in ends[at]:
                    over.add(at)
            trial.append(whole)
            return tokens

        texts = rows.histories()
        return padded(go_on(self._cache, rows.index, texts, k, pick), k, rows)


def fit(logits: Tensor, vocab_size: int) -> Tensor:
    """Return logits of so many tokens: of a table that was padded, or is another's padded one.

    >>> fit(torch.tensor([[1.0, 2.0]]), 3).tolist(), fit(torch.tensor([[1.0, 2.0]]), 1).tolist()
    ([[1.0, 2.0, -inf]], [[1.0]])
    """
    missing = vocab_size - logits.shape[1]
    if missing <= 0:
        return logits[:, :vocab_size]
    return torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)
