"""Constrained beams, against a reference on texts, and against all texts there are."""

import itertools
import random

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_strategies.constraints import Progress

LETTERS = Letters("abcdefghij.")
END = 11


def make_generator(size=END, **options):
    letters = Letters("abcdefghij."[:size])
    model = TableModel(size + 1, **{"order": 3, "bias": {size: 1.0}, **options})
    return Generator(model, letters, decoder=letters, eos_token_ids=[size])


def missing(text, words):
    """Return how many letters a text lacks at least."""
    open_words = [word for word in words if not any(each in text for each in word)]
    lengths = [min(map(len, word)) for word in open_words]
    rests = [
        min(
            len(each) - next(n for n in range(len(each) - 1, -1, -1) if text.endswith(each[:n]))
            for each in word
        )
        for word in open_words
    ]
    return sum(lengths) - max([0, *(a - b for a, b in zip(lengths, rests, strict=True))])


def helpful(text, words):
    """Return the letters that begin or continue a word that is not said."""
    found = set()
    for word in words:
        if not any(each in text for each in word):
            for each in word:
                said = next(n for n in range(len(each) - 1, -1, -1) if text.endswith(each[:n]))
                found |= {each[0], each[said]}
    return found


def extensions(prompt, running, words):
    """Return all extensions by a letter that may be taken: score, text before, letter."""
    model = TableModel(END + 1, order=3, bias={END: 1.0})
    table = []
    for score, text in running:
        history = [*LETTERS.encode(prompt), *LETTERS.encode(text)]
        logprobs = model.score(model.make_cache(1), [history], [1]).logits.log_softmax(-1)[0]
        for token, value in enumerate(logprobs.tolist()):
            if token < END or not missing(text, words):
                table.append((score + value, text, "abcdefghij.$"[token]))
    return sorted(table, key=lambda each: -each[0])


def by_banks(going, room):
    """Return the order in which candidates become beams: the best of each bank, and so on."""
    ranks, order = {}, []
    for score, text, lacks in going:
        ranks[lacks] = ranks.get(lacks, -1) + 1
        order.append((lacks > room, ranks[lacks], lacks, score, text))
    return [(score, text) for _, _, _, score, text in sorted(order, key=lambda each: each[:3])]


def reference(prompt, words, *, beams, room):
    """Return the best completions of a prompt that say all words, with their scores."""
    running, bank = [(0.0, "")], []
    for length in range(1, room + 1):
        table = extensions(prompt, running, words)
        best = {text: next(each for each in table if each[1] == text) for _, text in running}
        said, going = 0, []
        for at, (score, text, letter) in enumerate(table):
            is_best = best[text][2] == letter
            if not (at < 2 * beams or is_best or letter in helpful(text, words)):
                continue
            lacks = missing(text + letter, words)
            said += not lacks
            if letter != "$" and length < room:
                going.append((score, text + letter, lacks))
            elif not lacks and said <= beams:
                bank.append((score / length, text + letter))
        bank = sorted(bank, key=lambda each: -each[0])[:beams]
        running = by_banks(going, room - length)[:beams]
        hope = max((score for score, _ in running), default=-1e9) / length
        if not running or (len(bank) == beams and hope <= bank[-1][0]):
            break
    return bank


WORDS = {
    "a phrase": (["cab"], [["cab"]]),
    "two": (["ab", "j"], [["ab"], ["j"]]),
    "alternatives": ([["hh", "iij"], "c"], [["hh", "iij"], ["c"]]),
    "overlapping": (["abab", "ba"], [["abab"], ["ba"]]),
    "ids": ([[3, 4], [[5], [6, 7]]], [["de"], ["f", "gh"]]),
    "none": ([], []),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_ragged_batch_gives_each_prompt_its_reference(name):
    given, words = WORDS[name]
    chance = random.Random(name)  # noqa: S311 - test data
    prompts = ["".join(chance.choices("abcdefghij", k=chance.randint(1, 8))) for _ in range(6)]
    rooms = [9, 6, 12] * 2
    result = make_generator().generate(
        prompts,
        strategy="constrained_beam",
        force_words=given,
        num_beams=4,
        num_return_sequences=3,
        max_new_tokens=rooms,
    )
    made = {place: [] for place in range(len(prompts))}
    for one in result.completions:
        made[one.prompt_index].append((one.text, one.score))
    for place, prompt in enumerate(prompts):
        expected = reference(prompt, words, beams=4, room=rooms[place])[:3]
        assert [text.rstrip("$") for _, text in expected] == [text for text, _ in made[place]]
        scores = [score for score, _ in expected]
        assert pytest.approx(scores, abs=1e-5) == [score for _, score in made[place]]
        assert all(missing(text, words) == 0 for text, _ in made[place])


@pytest.mark.parametrize("words", [["ca"], ["a", "bc"], [["cc", "ab"], "b"]])
def test_with_beams_enough_the_likeliest_of_all_texts_is_found(words):
    size, room = 3, 4
    wanted = [[word] if isinstance(word, str) else word for word in words]
    model = TableModel(size + 1, order=3, bias={size: 1.0})
    found = {}
    for length in range(1, room + 1):
        for tokens in itertools.product(range(size + 1), repeat=length):
            ends = [at for at, token in enumerate(tokens) if token == size]
            if ends not in ([], [length - 1]) or (not ends and length < room):
                continue
            text = "".join("abc$"[token] for token in tokens)
            if missing(text, wanted):
                continue
            logits = model.score(model.make_cache(1), [[0, *tokens]], [length + 1]).logits
            logprobs = logits.log_softmax(-1)
            total = sum(float(logprobs[at, token]) for at, token in enumerate(tokens))
            found[tokens] = total / length
    best = max(found, key=found.get)
    result = make_generator(size).generate(
        "a",
        strategy="constrained_beam",
        force_words=words,
        num_beams=300,
        early_stopping="never",
        max_new_tokens=room,
    )

    assert best == result.completions[0].tokens
    assert pytest.approx(found[best], abs=1e-5) == result.completions[0].score


def test_without_words_it_is_beam_search():
    options = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 9}
    plain = make_generator().generate(["a", "bc"], strategy="beam", **options)
    other = make_generator().generate(["a", "bc"], strategy="constrained_beam", **options)

    assert [(each.tokens, each.score) for each in plain.completions] == [
        (each.tokens, each.score) for each in other.completions
    ]


def test_a_phrase_that_is_broken_may_begin_with_the_token_that_broke_it():
    progress = Progress((((0, 0, 1),),))
    for token, rest in ((0, 2), (0, 1), (0, 1), (1, 0)):
        progress = progress.take(token)
        assert rest == progress.missing


def test_there_is_always_a_token_that_helps():
    chance = random.Random(3)  # noqa: S311 - test data
    for _ in range(200):
        words = tuple(
            tuple(
                tuple(chance.choices(range(3), k=chance.randint(1, 4)))
                for _ in range(chance.randint(1, 3))
            )
            for _ in range(chance.randint(1, 3))
        )
        progress = Progress(words)
        for token in chance.choices(range(3), k=6):
            if progress.missing:
                assert any(
                    progress.take(each).missing < progress.missing for each in progress.helpful
                )
            progress = progress.take(token)


def test_what_cannot_be_said_leaves_the_likeliest_of_what_is_there():
    def no_j(logits, rows):
        return logits.index_fill(1, torch.tensor([9]), -torch.inf)

    result = make_generator().generate(
        ["a", "b"],
        strategy="constrained_beam",
        force_words="j",
        processors=[no_j],
        max_new_tokens=4,
    )
    assert [4, 4] == [len(each.tokens) for each in result.completions]
    assert ["length", "length"] == [each.finish_reason for each in result.completions]


def test_a_row_that_may_only_end_but_has_something_to_say_is_returned_as_it_stands():
    def end(logits, rows):
        late = (rows.lengths - rows.prompt_lengths >= 2)[:, None] & (torch.arange(END + 1) < END)
        return logits.masked_fill(late, -torch.inf)

    result = make_generator().generate(
        "a", strategy="constrained_beam", force_words="hij", processors=[end], max_new_tokens=8
    )
    assert [(2, "strategy")] == [
        (len(each.tokens), each.finish_reason) for each in result.completions
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["abcd", "ij"], "force_words takes 6 tokens, but prompt 0 may grow by 5"),
        ([[3, 12]], "force_words names token 12: expected an id below 12"),
        ([""], "force_words has no tokens in ''"),
        ([[]], r"force_words has no tokens in \(\)"),
        ([["a", []]], r"force_words has no tokens in \(\)"),
    ],
)
def test_words_that_cannot_be_said_are_refused(words, message):
    with pytest.raises(Exception, match=message) as caught:
        make_generator().generate(
            "a", strategy="constrained_beam", force_words=words, max_new_tokens=5
        )
    assert isinstance(caught.value.__cause__ or caught.value, OptionError)
