"""DeepConf, against rows that are followed one by one from whole histories."""

import math
from collections import Counter, defaultdict

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk.defaults import Multinomial
from gpt2sdk.testing import Letters, TableModel, make_rows

LETTERS = Letters("abcdefgh.")
END = 9
ROOM = 9


def make_model():
    return TableModel(END + 1, order=2, bias={END: -0.5}, seed=4)


def make_generator():
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def answer(text):
    return "gh".find(text[-1]) if text[-1:] in ("a", "b", "c", "g", "h") else None


class Row:
    """A row that is drawn alone."""

    def __init__(self, prompt, seed, lane, draws, size, top):
        self.prompt, self.seed, self.lane, self.draws = prompt, seed, lane, draws
        self.size, self.top, self.draws_before = size, top, draws
        self.new, self.seen, self.cut = [], [], False

    @property
    def over(self):
        return self.cut or self.new[-1:] == [END] or len(self.new) == ROOM

    def grow(self):
        model = make_model()
        logits = model.score(model.make_cache(1), [[*self.prompt, *self.new]], [1]).logits
        rows = make_rows([[0]], seed=self.seed, purpose="multinomial")
        rows.records[0].lane, rows.records[0].draws = self.lane, self.draws
        self.new.append(int(Multinomial().choose(logits, rows)))
        self.draws += 1
        self.seen.append(-float(logits.log_softmax(-1).topk(self.top).values.mean()))

    @property
    def groups(self):
        ends = range(self.size, len(self.seen) + 1)
        return [sum(self.seen[end - self.size : end]) / self.size for end in ends]

    @property
    def confidence(self):
        return min(self.groups) if self.groups else sum(self.seen) / len(self.seen)

    @property
    def text(self):
        return LETTERS.decode(self.new)


def quantile(numbers, part):
    numbers = sorted(numbers)
    at = part * (len(numbers) - 1)
    low, high = numbers[math.floor(at)], numbers[math.ceil(at)]
    return low + (at - math.floor(at)) * (high - low)


def settled(votes, consensus):
    weights = defaultdict(float)
    for said, weight, _ in votes:
        weights[said] += weight
    return len(votes) > 1 and max(weights.values()) >= consensus * sum(weights.values())


def first_of_each(votes):
    """Return the answers with their weights and the rows drawn first, the heaviest first."""
    weights, rows = defaultdict(float), {}
    for said, weight, row in votes:
        weights[said] += weight
        rows.setdefault(said, []).append(row)
    firsts = [
        (weights[said], min(rows[said], key=lambda row: (row.draws_before, row.lane)))
        for said in rows
    ]
    return sorted(firsts, key=lambda each: -each[0])


def draw(rows, low, keep, votes, consensus):
    """Grow rows side by side, and let those vote that end; return the threshold."""
    asked = []
    while not (all(row.over for row in rows) or settled(votes, consensus)):
        for row in rows:
            if not row.over:
                row.grow()
                row.cut = low is not None and min([math.inf, *row.groups]) < low
        if low is None and all(row.over for row in rows):
            low = quantile([row.confidence for row in rows], 1 - keep)
        for row in rows if low is not None else []:
            if row.over and row not in asked:
                asked.append(row)
                if row.confidence >= low and answer(row.text) is not None:
                    votes.append((answer(row.text), row.confidence, row))
    return low


def reference(prompt, seed, *, samples, warmup, keep, size, top, consensus):
    """Return the shares and texts of the answers, and how many rows were drawn and cut."""
    votes, low, drawn, cut, draws = [], None, 0, 0, 0
    while drawn < samples and not settled(votes, consensus):
        lanes = len(first_of_each(votes)) or min(drawn, 1)
        count = min(warmup, samples - drawn)
        rows = [Row(prompt, seed, lanes + lane, draws, size, top) for lane in range(count)]
        low = draw(rows, low, keep, votes, consensus)
        drawn += count
        cut += sum(row.cut for row in rows)
        draws = max(row.draws for row in rows)
    total = sum(weight for _, weight, _ in votes)
    found = [(weight / total, row.text) for weight, row in first_of_each(votes)]
    return found, drawn, cut


CASES = [
    {"samples": 6, "warmup": 6, "keep": 0.9, "size": 3, "top": 4, "consensus": 1.0},
    {"samples": 14, "warmup": 4, "keep": 0.5, "size": 2, "top": 4, "consensus": 0.9},
    {"samples": 11, "warmup": 5, "keep": 0.3, "size": 3, "top": 10, "consensus": 0.6},
    {"samples": 10, "warmup": 5, "keep": 1.0, "size": 20, "top": 2, "consensus": 0.95},
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_batch_gives_each_prompt_its_reference(case):
    prompts = ["a", "bc", "dda", "hg"] * 3
    result = make_generator().generate(
        prompts,
        strategy="deepconf",
        answer=answer,
        budget=case["samples"],
        num_warmup=case["warmup"],
        keep=case["keep"],
        group_size=case["size"],
        confidence_tokens=case["top"],
        consensus=case["consensus"],
        num_return_sequences=min(9, case["samples"]),
        max_new_tokens=ROOM,
        seed=list(range(len(prompts))),
    )
    made = {place: [] for place in range(len(prompts))}
    for one in result.completions:
        made[one.prompt_index].append((one.score, one.text))
    told = Counter()
    for seed, prompt in enumerate(prompts):
        expected, drawn, cut = reference(LETTERS.encode(prompt), seed, **case)
        told.update({"drawn": drawn, "cut": cut})
        if expected:
            assert [text for _, text in expected] == [text for _, text in made[seed]]
            scores = [score for score, _ in made[seed]]
            assert pytest.approx([share for share, _ in expected]) == scores
        else:
            assert [0.0] == [score for score, _ in made[seed]]
    # The cases are such that something happens in them.
    assert case["warmup"] == case["samples"] or told["drawn"] > case["warmup"] * len(prompts)
    assert case["keep"] == 1.0 or case["warmup"] == case["samples"] or told["cut"]


def test_without_any_vote_the_first_completion_is_returned_as_a_whole():
    options = {"max_new_tokens": ROOM, "seed": list(range(8))}
    prompts = ["a", "bc", "dda", "hg"] * 2
    result = make_generator().generate(
        prompts,
        strategy="deepconf",
        answer=lambda text: None,
        budget=12,
        num_warmup=3,
        group_size=2,
        **options,
    )
    first = make_generator().generate(prompts, **options)

    assert [(each.tokens, each.text) for each in first.completions] == [
        (each.tokens, each.text) for each in result.completions
    ]
    assert {"end_token", "length"} == {each.finish_reason for each in result.completions}
    assert {0.0} == {each.score for each in result.completions}


def test_more_completions_than_are_drawn_are_refused():
    with pytest.raises(OptionError, match="only 2 completions are drawn: raise budget"):
        make_generator().generate("a", strategy="deepconf", budget=2, num_return_sequences=5)
