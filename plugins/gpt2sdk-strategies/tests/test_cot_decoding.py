"""CoT-decoding, against branches that are followed one by one."""

from collections import defaultdict

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, tiny_tokenizer
from gpt2sdk_strategies.cot_decoding import AnswerPath

LETTERS = Letters("abcdefgh.")
END = 9


def make_model():
    return TableModel(END + 1, order=2, seed=4)


def make_generator():
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def probabilities(prompt, new):
    model = make_model()
    return model.score(model.make_cache(1), [[*prompt, *new]], [1]).logits.softmax(-1)[0].tolist()


def follow(prompt, first, room):
    """Return one branch: its tokens, and each token's margin."""
    new, margins = [], []
    while new[-1:] != [END] and len(new) < room:
        shares = probabilities(prompt, new)
        token = shares.index(max(shares)) if new else first
        likeliest, second = sorted(shares, reverse=True)[:2]
        margins.append(likeliest - second)
        new.append(token)
    return new, margins


def reference(prompt, branches, room, answer, *, aggregate):
    """Return the texts with their scores, best first."""
    shares = probabilities(prompt, [])
    firsts = sorted(range(END + 1), key=lambda token: -shares[token])[:branches]
    found = []
    for first in firsts:
        new, margins = follow(prompt, first, room)
        text = LETTERS.decode(new)
        said = text if answer is None else answer(text)
        if said is None:
            found.append((-1.0, text, object()))
            continue
        at = text.rfind(said)
        part = margins[at : at + len(said)] or margins
        found.append((sum(part) / len(part), text, said))
    if not aggregate:
        return sorted(((score, text) for score, text, _ in found), key=lambda each: -each[0])
    sums, best = defaultdict(float), {}
    for score, text, said in found:
        sums[said] += score
        best[said] = max(best.get(said, (-9, "")), (score, text), key=lambda each: each[0])
    return sorted(((sums[said], best[said][1]) for said in sums), key=lambda each: -each[0])


def last_pair(text):
    return text[-2:] if len(text) > 3 else None


@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("answer", [None, last_pair])
def test_a_batch_gives_each_prompt_its_reference(answer, aggregate):
    prompts, rooms = ["a", "bc", "dda", "hg", "f"], [7, 1, 5, 9, 4]
    result = make_generator().generate(
        prompts,
        strategy="cot_decoding",
        num_branches=6,
        answer=answer,
        aggregate=aggregate,
        num_return_sequences=4,
        max_new_tokens=rooms,
    )
    for place, prompt in enumerate(prompts):
        expected = reference(LETTERS.encode(prompt), 6, rooms[place], answer, aggregate=aggregate)[
            :4
        ]
        made = [one for one in result.completions if one.prompt_index == place]
        scores = [score for score, _ in expected]
        assert pytest.approx(scores, abs=1e-5) == [one.score for one in made]
        assert [text for _, text in expected] == [one.text for one in made]


def test_the_first_branch_is_greedy():
    options = {"max_new_tokens": 9}
    greedy = make_generator().generate(["a", "bc"], strategy="greedy", **options)
    branch = make_generator().generate(
        ["a", "bc"], strategy="cot_decoding", num_branches=1, **options
    )

    assert greedy.texts == branch.texts


def test_what_is_ruled_out_begins_no_branch():
    def a_or_b(logits, rows):
        return logits.index_fill(1, torch.arange(2, END + 1), -torch.inf)

    result = make_generator().generate(
        "a",
        strategy="cot_decoding",
        num_return_sequences=9,
        processors=[a_or_b],
        max_new_tokens=3,
    )
    assert {"a", "b"} == {text[0] for text in result.texts}
    assert 2 == len(result.texts)


def test_an_answer_that_is_cut_into_tokens_has_the_margins_of_all_of_them():
    # `x`, then the two bytes of é, then `yz`.
    branch = AnswerPath([0.1, 0.2, 0.4, 0.8], [0, 1, 1, 2])
    assert pytest.approx(0.3) == branch.margin("xéyz", "é")
    assert pytest.approx(0.8) == branch.margin("xéyz", "z")

    tokenizer = tiny_tokenizer()
    generator = Generator(TableModel(tokenizer.vocab_size, seed=1), tokenizer)
    result = generator.generate(
        ["a", "the"], strategy="cot_decoding", answer=lambda text: text[1:3], max_new_tokens=8
    )
    assert all(0 <= one.score <= 1 for one in result.completions)


def test_all_branches_have_the_margin_of_the_first_place():
    likeliest, second = sorted(probabilities([0], []), reverse=True)[:2]
    result = make_generator().generate(
        "a",
        strategy="cot_decoding",
        num_branches=3,
        num_return_sequences=3,
        max_new_tokens=1,
    )

    expected = pytest.approx([likeliest - second] * 3, abs=1e-6)
    assert expected == [one.score for one in result.completions]


def test_more_completions_than_branches_are_refused():
    with pytest.raises(OptionError, match="only 2 branches are followed"):
        make_generator().generate(
            "a", strategy="cot_decoding", num_branches=2, num_return_sequences=3
        )
