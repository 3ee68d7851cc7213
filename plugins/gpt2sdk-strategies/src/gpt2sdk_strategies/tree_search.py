"""Tree search: before each token, continuations are tried out and judged by a value function."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpt2sdk import COUNT_RULE, Logits, OptionError, Session, Step, strategy
from gpt2sdk_strategies.judgement import number
from gpt2sdk_strategies.siblings import complete, leave, sound, spread
from gpt2sdk_strategies.tree import Node, Tree

Value = Annotated[
    Callable[[str], float],
    Field(description="Function of a text, finished or not, that says how good it is."),
]
NumSimulations = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Continuations that are tried out before each token."),
]
NumChildren = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Likeliest tokens that are considered after a text."),
]
CPuct = Annotated[
    float, Field(ge=0.0, description="Weight of what the model expects, and of what is untried.")
]
RolloutTokens = Annotated[
    int,
    Field(ge=0, description="Likeliest tokens that continue a text before it is judged."),
]
VisitTemperature = Annotated[
    float,
    Field(
        ge=0.0,
        description="0 takes the token that was tried most; above, one is drawn in proportion to "
        "its tries to the power of 1 over this.",
    ),
]


def _rows(num_return_sequences: int) -> int:
    # One writes, and one looks ahead.
    return 2 * num_return_sequences


@strategy(
    hold=None,
    chooses=False,
    rows_per_prompt=_rows,
    examples={"value": len, "visit_temperature": 1.0},
)
def tree_search(
    session: Session,
    *,
    value: Value,
    num_simulations: NumSimulations = 16,
    num_children: NumChildren = 8,
    c_puct: CPuct = 1.0,
    rollout_tokens: RolloutTokens = 0,
    visit_temperature: VisitTemperature = 0.0,
) -> Iterator[Step]:
    """Look ahead by Monte-Carlo tree search, and take the token that was tried most.

    A node of the tree is a text, a step one token. Before each token, `num_simulations` times: go
    down from the row's present text by PUCT (see `Tree.descend`) to a text that was not looked at
    yet; take its `num_children` likeliest next tokens of the processed distribution, with their
    probabilities divided by their sum, as its children; and tell everything on the way
    `value(text)`, the value of what the row would have written. With `rollout_tokens`, the text is
    continued by as many likeliest tokens before it is judged. A text that has ended is judged once;
    one after which no token is left is not tried again.
    What is known of the token that is taken is kept.

    `value` may return any finite number, higher is better; only differences count. A completion's
    `score` is the value of its text. A beginning's value should say what may become of it: with
    one that judges whole texts only, use `rollout_tokens`.

    It is the search of AlphaZero (Silver et al., 2017, arXiv:1712.01815) with the values' range of
    MuZero (Schrittwieser et al., 2019, arXiv:1911.08265), on text as in Liu et al., 2023,
    arXiv:2309.15028. Where we differ: an untried token is expected to be as good as its parent.

    Each row has a second one that looks ahead, so what is certain never goes back.

    Raises:
        OptionError: Several completions are asked for, and nothing is drawn; or the value is no
            finite number.
    """
    copies = session.num_return_sequences
    if copies > 1 and not visit_temperature:
        raise OptionError(
            f"num_return_sequences is {copies}, but with visit_temperature=0 all completions are "
            "alike: set visit_temperature=1.0, or ask for one",
            name="visit_temperature",
            value=visit_temperature,
            expected="a number above 0",
        )
    lookout = Lookout(session, value, num_children, rollout_tokens)
    # Of each prompt's rows the first half writes, and the second half looks ahead.
    spread(session, 2 * copies)
    trees = [Tree(c_puct) for _ in range(len(session.rows) // 2)]
    while session.running:
        seats = torch.arange(len(session.rows), device=session.device).view(-1, 2, copies)
        writers, scouts = seats[:, 0].flatten(), seats[:, 1].flatten()
        for _ in range(num_simulations):
            lookout.simulate(dict(zip(scouts.tolist(), trees, strict=True)))
        logits = session.process(session.next_logits())
        wanted = preferences(trees, logits[writers], visit_temperature)
        chosen = wanted.argmax(-1)
        if visit_temperature:
            chosen = session.race(logits.index_copy(0, writers, wanted), "tree_search")[writers]
        tokens = torch.empty_like(seats)
        tokens[:] = chosen.view(-1, 1, copies)
        step = session.append(tokens.flatten())
        for tree, token in zip(trees, chosen.tolist(), strict=True):
            tree.step(token)
        session.finish(scouts[session.rows.finished[writers]])

        done = complete(session)
        ended = [seat for _, rows in done for seat in sound(rows.select(range(copies)))]
        texts = [each.text for each in session.completions(ended)]
        session.submit(ended, [number(value, text, "value") for text in texts])
        # A fork at each step, also where all stay: rows then draw alike in any company.
        kept = set(leave(session, done))
        trees = [tree for tree, seat in zip(trees, writers.tolist(), strict=True) if seat in kept]
        yield step


class Lookout:
    """Tries continuations out on rows that are there for it."""

    def __init__(
        self,
        session: Session,
        value: Callable[[str], float],
        num_children: int,
        rollout_tokens: int,
    ) -> None:
        self._session = session
        self._value = value
        self._num_children = num_children
        self._rollout_tokens = rollout_tokens

    def simulate(self, trees: Mapping[int, Tree]) -> None:
        """Try one continuation of each row, given by its seat, and take it back."""
        records = self._session.rows.records
        ways: dict[int, tuple[list[Node], list[int]]] = {}
        for seat, tree in trees.items():
            if records[seat].finish_reason is None:
                nodes, tokens = tree.descend()
                if nodes[-1].final is None:
                    ways[seat] = nodes, tokens
                else:
                    tree.learn(nodes, nodes[-1].final, {})
        grown = {seat: records[seat].grown for seat in ways}
        for depth in range(max((len(tokens) for _, tokens in ways.values()), default=0)):
            self._append({seat: way[depth] for seat, (_, way) in ways.items() if depth < len(way)})
        priors = self._expand([seat for seat in ways if records[seat].finish_reason is None])
        # A continuation that came to a dead end says nothing of the text that it continued.
        dead = [seat for seat in ways if records[seat].failure and seat not in priors]
        found = [seat for seat in ways if seat not in dead]
        for seat, each in zip(found, self._session.completions(found), strict=True):
            nodes, _ = ways[seat]
            value = number(self._value, each.text, "value")
            if seat not in priors:
                nodes[-1].final = value
            trees[seat].learn(nodes, value, priors.get(seat, {}))
        for seat in dead:
            trees[seat].bury(*ways[seat])
        self._take_back(grown)

    def _expand(self, seats: Sequence[int]) -> Mapping[int, Mapping[int, float]]:
        """Return the likeliest next tokens of rows that can go on, and let these do so."""
        priors: dict[int, dict[int, float]] = {}
        if not seats:
            return priors
        records = self._session.rows.records
        for ahead in range(max(1, self._rollout_tokens)):
            logits = self._session.process(self._session.next_logits())
            alive = [seat for seat in seats if records[seat].finish_reason is None]
            if not ahead:
                values, tokens = logits[alive].topk(min(self._num_children, logits.shape[1]))
                for seat, shares, ids in zip(
                    alive, values.softmax(-1).tolist(), tokens.tolist(), strict=True
                ):
                    priors[seat] = {t: share for t, share in zip(ids, shares, strict=True) if share}
            if self._rollout_tokens:
                best = logits[alive].argmax(-1).tolist()
                self._append(dict(zip(alive, best, strict=True)))
        return priors

    def _append(self, tokens: Mapping[int, int]) -> None:
        self._session.append([tokens.get(seat, -1) for seat in range(len(self._session.rows))])

    def _take_back(self, grown: Mapping[int, int]) -> None:
        """Take back what was tried; but a row that is over for good stays so."""
        backs = [0] * len(self._session.rows)
        for seat, length in grown.items():
            row = self._session.rows.records[seat]
            if row.finish_reason != "cancelled":
                backs[seat] = row.grown - length
        self._session.rewind(backs)


def preferences(
    trees: Sequence[Tree], logits: Logits, temperature: float
) -> Float[Tensor, "rows vocab"]:
    """Return by what each row's token is chosen: how often it was tried, or its logarithm.

    Where tokens were tried equally often, the likelier one is preferred. What is ruled out stays
    out; a row of which nothing is left that was tried, chooses by its logits.
    """
    # Made on the host, since each tree is there.
    wanted = torch.full(logits.shape, -torch.inf)
    for row, tree in enumerate(trees):
        for token, node in tree.root.children.items():
            if temperature and node.visits:
                wanted[row, token] = math.log(node.visits) / temperature
            elif not temperature:
                wanted[row, token] = node.visits + node.prior
    wanted = wanted.to(logits).masked_fill(logits.isneginf(), -torch.inf)
    return torch.where(wanted.isneginf().all(1, keepdim=True), logits, wanted)
