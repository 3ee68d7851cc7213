"""Tree search, against one that keeps its statistics by text and reads whole histories."""

import math
from threading import Event

import pytest
import torch

from gpt2sdk import GenerationError, Generator, OptionError
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters("abcd")
END = 4


def make_model():
    return TableModel(END + 1, order=2, seed=3)


def make_generator():
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def value(text):
    """Like texts with many `ad`, and none of length 3."""
    return text.count("ad") * 2.0 - (len(text) == 3) + 0.1 * len(text)


def over(new, room):
    return new[-1:] == (END,) or len(new) == room


class Search:
    """The search of one prompt: statistics by tokens, as tuples."""

    def __init__(self, prompt, *, children, c_puct, rollout, room):
        self.prompt, self.children, self.c_puct = prompt, children, c_puct
        self.rollout, self.room = rollout, room
        self.visits, self.totals, self.priors = {}, {}, {}
        self.low, self.high = math.inf, -math.inf

    def logits(self, new):
        model = make_model()
        return model.score(model.make_cache(1), [[*self.prompt, *new]], [1]).logits[0]

    def mean(self, new):
        return self.totals.get(new, 0.0) / max(self.visits.get(new, 0), 1)

    def promise(self, new, token):
        child = (*new, token)
        seen = self.visits.get(child, 0)
        value = self.mean(child if seen else new)
        spread = self.high - self.low
        quality = (value - self.low) / spread if spread > 0 else 0.0
        bonus = self.priors[new][token] * math.sqrt(self.visits[new]) / (1 + seen)
        return quality + self.c_puct * bonus

    def judge(self, new):
        for _ in range(self.rollout):
            if not over(new, self.room):
                new = (*new, int(self.logits(new).argmax()))
        return value(LETTERS.decode(new))

    def simulate(self, root):
        way = [root]
        while way[-1] in self.priors:
            new = way[-1]
            way.append((*new, max(self.priors[new], key=lambda token: self.promise(new, token))))
        found = self.judge(way[-1])
        self.low, self.high = min(self.low, found), max(self.high, found)
        for new in way:
            self.visits[new] = self.visits.get(new, 0) + 1
            self.totals[new] = self.totals.get(new, 0.0) + found
        if not over(way[-1], self.room):
            top = self.logits(way[-1]).topk(self.children)
            shares = top.values.softmax(-1).tolist()
            self.priors[way[-1]] = dict(zip(top.indices.tolist(), shares, strict=True))

    def run(self, simulations):
        new = ()
        while not over(new, self.room):
            for _ in range(simulations):
                self.simulate(new)
            priors = self.priors[new]
            token = max(priors, key=lambda each: (self.visits.get((*new, each), 0), priors[each]))
            new = (*new, token)
        return new


@pytest.mark.parametrize(
    ("simulations", "rollout", "c_puct"), [(1, 0, 1.0), (6, 0, 1.0), (12, 2, 0.5), (9, 0, 3.0)]
)
def test_a_batch_gives_each_prompt_its_reference(simulations, rollout, c_puct):
    prompts, rooms = ["a", "bc", "dda", "c"], [5, 7, 1, 6]
    result = make_generator().generate(
        prompts,
        strategy="tree_search",
        value=value,
        num_simulations=simulations,
        num_children=3,
        c_puct=c_puct,
        rollout_tokens=rollout,
        max_new_tokens=rooms,
    )
    for place, prompt in enumerate(prompts):
        search = Search(
            LETTERS.encode(prompt), children=3, c_puct=c_puct, rollout=rollout, room=rooms[place]
        )
        expected = search.run(simulations)
        made = result.completions[place]
        assert expected == made.tokens
        assert value(LETTERS.decode(expected)) == made.score


def test_it_finds_what_the_likeliest_tokens_miss():
    def likes_c(text):
        return float(text.endswith("cc"))

    options = {"max_new_tokens": 4, "eos_token_id": None}
    greedy = make_generator().generate("a", strategy="greedy", **options)
    searched = make_generator().generate(
        "a", strategy="tree_search", value=likes_c, num_simulations=200, num_children=5, **options
    )

    assert (0.0, 1.0) == (likes_c(greedy.text), likes_c(searched.text))


def test_tokens_are_drawn_in_proportion_to_their_tries():
    count = 400
    result = make_generator().generate(
        "a",
        strategy="tree_search",
        value=lambda text: 0.0,
        num_simulations=11,
        num_children=2,
        visit_temperature=1.0,
        num_return_sequences=count,
        max_new_tokens=1,
        seed=1,
    )
    search = Search([0], children=2, c_puct=1.0, rollout=0, room=1)
    search.judge = lambda new: 0.0
    for _ in range(11):
        search.simulate(())
    visits = {token: search.visits.get((token,), 0) for token in range(END + 1)}
    assert 10 == sum(visits.values())
    for token, tries in visits.items():
        part = sum(one.tokens == (token,) for one in result.completions) / count
        assert abs(part - tries / 10) < 4 * math.sqrt(0.25 / count)


def test_what_looks_ahead_is_in_no_result_that_was_cancelled():
    def until_long(text):
        asked.set() if len(text) == 3 else None
        return value(text)

    options = {"strategy": "tree_search", "max_new_tokens": 9, "eos_token_id": None}
    whole = make_generator().generate(["a", "b"], value=value, **options).texts
    asked = Event()
    stopped = make_generator().generate(["a", "b"], value=until_long, cancel=asked, **options)
    for text, one in zip(whole, stopped.completions, strict=True):
        assert "cancelled" == one.finish_reason
        assert len(one.text) < 3
        assert text.startswith(one.text)


def test_a_processors_fault_while_looking_ahead_is_an_error():
    def faulty(logits, rows):
        if int((rows.lengths - rows.prompt_lengths).amax()) == 2:
            raise RuntimeError("two is too much")
        return logits

    with pytest.raises(GenerationError, match="two is too much"):
        make_generator().generate(
            "a", strategy="tree_search", value=value, processors=[faulty], max_new_tokens=5
        )


def test_a_dead_end_is_avoided():
    def no_way_after_b(logits, rows):
        grown = rows.lengths - rows.prompt_lengths
        last = rows.tokens.gather(1, rows.lengths[:, None] - 1)[:, 0]
        return logits.masked_fill(((last == 1) & (grown > 0))[:, None], -torch.inf)

    result = make_generator().generate(
        ["a", "c", "d"],
        strategy="tree_search",
        value=lambda text: 1.0 + len(text),
        num_simulations=20,
        processors=[no_way_after_b],
        max_new_tokens=5,
    )
    assert not any("b" in text[:-1] for text in result.texts)


def test_several_completions_that_would_be_alike_are_refused():
    with pytest.raises(OptionError, match=r"set visit_temperature=1\.0"):
        make_generator().generate("a", strategy="tree_search", value=value, num_return_sequences=2)


def test_a_value_is_needed_and_has_to_be_a_number():
    with pytest.raises(OptionError, match="tree_search needs value"):
        make_generator().generate("a", strategy="tree_search")
    with pytest.raises(OptionError, match="value returned None"):
        make_generator().generate("a", strategy="tree_search", value=lambda text: None)
