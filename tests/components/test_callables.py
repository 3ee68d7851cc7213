"""Plain functions and objects made for transformers are components like any other."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MaxLengthCriteria,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
    TopKLogitsWarper,
)

from gpt2sdk.components.callables import (
    CallableCriterion,
    CallableProcessor,
    TransformersCriterion,
    TransformersProcessor,
    as_criterion,
    as_processor,
    name_of,
)
from gpt2sdk.defaults import Greedy
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.generator.generator import Generator
from gpt2sdk.testing import Letters, TableModel, make_rows

ROWS = make_rows([[1, 2, 3], [4], [5, 6, 7], [8, 9]])
LOGITS = torch.arange(16.0).view(4, 4)


class Halve:
    """An object with a `__call__`."""

    def __call__(self, logits, rows):
        return logits / 2


class LastToken:
    """An object in transformers' form."""

    def __call__(self, input_ids, scores, **kwargs):
        return scores + input_ids[:, -1:]


def halve(logits, rows):
    return logits / 2


def halve_with_default(logits, rows, factor=0.5):
    return logits * factor


@pytest.mark.parametrize(
    "function",
    [halve, halve_with_default, Halve(), Halve().__call__, lambda x, r: x / 2, partial(halve)],
)
def test_functions_of_logits_and_rows_are_processors(function):
    processor = as_processor(function)

    assert isinstance(processor, CallableProcessor)
    assert torch.equal(LOGITS / 2, processor.process(LOGITS, ROWS))


@pytest.mark.parametrize(
    "function",
    [
        LastToken(),
        lambda input_ids, scores: scores + input_ids[:, -1:],
        lambda scores, input_ids: scores + input_ids[:, -1:],
        partial(lambda factor, input_ids, scores: scores + factor * input_ids[:, -1:], 1),
    ],
)
def test_parameters_named_as_in_transformers_get_unpadded_rows_of_one_length(function):
    processor = as_processor(function)
    last = torch.tensor([[3.0], [4.0], [7.0], [9.0]])

    assert isinstance(processor, TransformersProcessor)
    assert torch.equal(LOGITS + last, processor.process(LOGITS, ROWS))


def test_rows_of_one_length_come_together_in_order():
    seen = []

    def look(input_ids, scores):
        seen.append((input_ids.tolist(), input_ids.dtype, scores.tolist()))
        return scores

    as_processor(look).process(LOGITS, ROWS)

    assert [
        ([[1, 2, 3], [5, 6, 7]], torch.int64, [LOGITS[0].tolist(), LOGITS[2].tolist()]),
        ([[4]], torch.int64, [LOGITS[1].tolist()]),
        ([[8, 9]], torch.int64, [LOGITS[3].tolist()]),
    ] == seen


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=6))
def test_a_row_alone_gets_what_it_gets_in_a_batch(histories):
    processor = as_processor(RepetitionPenaltyLogitsProcessor(1.5))
    logits = torch.randn(len(histories), 10, generator=torch.Generator().manual_seed(0))
    together = processor.process(logits, make_rows(histories))

    for place, history in enumerate(histories):
        alone = processor.process(logits[place : place + 1], make_rows([history]))
        assert torch.equal(together[place : place + 1], alone)


@pytest.mark.parametrize(
    "theirs",
    [
        TopKLogitsWarper(2),
        NoRepeatNGramLogitsProcessor(2),
        LogitsProcessorList([TopKLogitsWarper(3), TopKLogitsWarper(2)]).__call__,
    ],
)
def test_processors_of_transformers_work_unchanged(theirs):
    history = [1, 2, 1]
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    expected = theirs(torch.tensor([history]), logits.clone())

    assert torch.equal(expected, as_processor(theirs).process(logits, make_rows([history])))


@pytest.mark.parametrize(
    "function", [lambda x, r: x.fill_(0), lambda input_ids, scores: scores.fill_(0)]
)
def test_what_a_callable_changes_in_place_is_a_copy(function):
    before = LOGITS.clone()

    assert 0 == as_processor(function).process(LOGITS, ROWS).abs().sum()
    assert torch.equal(before, LOGITS)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda rows: True, [True] * 4),
        (lambda rows: rows.lengths > 2, [True, False, True, False]),
        (lambda rows: torch.tensor(0).bool(), [False] * 4),
        (lambda input_ids, scores: input_ids.shape[1] == 1, [False, True, False, False]),
        (lambda input_ids, scores: input_ids[:, 0] == 5, [False, False, True, False]),
        (MaxLengthCriteria(2), [True, False, True, True]),
        (StoppingCriteriaList([MaxLengthCriteria(3)]).__call__, [True, False, True, False]),
    ],
)
def test_criteria_answer_with_one_bool_or_one_for_each_row(function, expected):
    criterion = as_criterion(function)

    assert isinstance(criterion, CallableCriterion | TransformersCriterion)
    assert "custom" == criterion.reason
    assert expected == criterion.check(ROWS).tolist()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, r: None,
        lambda x, r: x[:, :2],
        lambda input_ids, scores: scores[0],
        lambda input_ids, scores: scores.tolist(),
    ],
)
def test_a_wrong_result_of_a_processor_names_it(function):
    with pytest.raises(PluginContractError, match=r"<lambda> .* must return logits of shape \("):
        as_processor(function).process(LOGITS, ROWS)


@pytest.mark.parametrize(
    "function",
    [lambda rows: None, lambda rows: 1, lambda rows: torch.ones(4), lambda rows: [True] * 4,
     lambda input_ids, scores: torch.tensor([True, False, True])],
)  # fmt: skip
def test_a_wrong_result_of_a_criterion_names_it(function):
    with pytest.raises(PluginContractError, match="must return a bool or"):
        as_criterion(function).check(ROWS)


@pytest.mark.parametrize(
    ("wrap", "thing", "message"),
    [
        (as_processor, Halve, "processors has the class Halve: give an instance of it"),
        (as_processor, lambda logits: logits, "a processor takes (logits, rows), or parameters"),
        (as_processor, lambda a, b, c: a, "which takes (a, b, c)"),
        (as_processor, lambda a, b, *, c: a, "which takes (a, b, *, c)"),
        (as_processor, lambda input_ids, rows: rows, "which takes (input_ids, rows)"),
        (as_processor, lambda *args, **kwargs: args, "which takes (*args, **kwargs)"),
        (as_processor, lambda input_ids, scores, extra: scores, "(input_ids, scores, extra)"),
        (as_processor, torch.nn.Linear(2, 2), "which takes (*args, **kwargs)"),
        (as_processor, 3, "got 3"),
        (as_processor, "top_k", "got 'top_k'"),
        (as_criterion, MaxLengthCriteria, "stopping has the class MaxLengthCriteria"),
        (as_criterion, lambda: True, "a stopping criterion takes (rows)"),
        (as_criterion, lambda a, b: True, "which takes (a, b)"),
        (as_criterion, dict, "stopping has the class dict"),
    ],
)
def test_other_things_are_refused_with_what_is_taken(wrap, thing, message):
    with pytest.raises(OptionError) as caught:
        wrap(thing)

    assert message in str(caught.value)
    assert caught.value.name in ("processors", "stopping")


def test_a_callable_that_cannot_be_looked_into_is_refused():
    with pytest.raises(OptionError, match="a stopping criterion takes"):
        as_criterion(min)


@pytest.mark.parametrize(
    ("component", "name"),
    [
        (as_processor(halve), "halve"),
        (as_processor(Halve()), "halve"),
        (as_processor(LastToken()), "last_token"),
        (as_processor(partial(partial(halve))), "halve"),
        (as_processor(TopKLogitsWarper(1)), "top_k_logits_warper"),
        (as_processor(lambda x, r: x), "lambda"),
        (as_criterion(MaxLengthCriteria(1)), "max_length_criteria"),
        (Greedy(), "greedy"),
    ],
)
def test_names(component, name):
    assert name == name_of(component)


def test_wrapped_callables_are_equal_by_identity_and_hash():
    unhashable = LogitsProcessorList().__call__
    twice = as_processor(unhashable), as_processor(unhashable)

    assert twice[0] == twice[1]
    assert 1 == len(set(twice))
    assert as_processor(halve) != as_processor(Halve())


def test_one_callable_is_a_processor_and_a_criterion_of_its_own():
    def both(input_ids, scores):
        return input_ids[:, -1] == 3 if scores is None else scores

    processor, criterion = as_processor(both), as_criterion(both)

    assert processor != criterion
    assert {processor, criterion, as_processor(both)} == {processor, criterion}


def test_one_callable_in_both_lists_of_a_call_does_both():
    letters = Letters()
    gen = Generator(TableModel(), letters, decoder=letters, eos_token_ids=[])

    def both(input_ids, scores):
        if scores is None:
            return input_ids[:, -1] == 3
        return torch.where(torch.arange(28) == 3, 0.0, -torch.inf).expand_as(scores)

    result = gen.generate("a", processors=[both], stopping=[both], max_new_tokens=5)

    assert (result.text, result.completions[0].finish_reason) == ("d", "custom")


@pytest.mark.parametrize("options", [{}, {"strategy": "beam", "num_beams": 3}])
def test_a_prefix_constraint_is_asked_about_the_prompt_not_the_place(options):
    letters = Letters()
    gen = Generator(TableModel(), letters, decoder=letters, eos_token_ids=[])
    asked = []

    def allowed(batch_id, tokens):
        asked.append((batch_id, tuple(tokens.tolist())))
        return [batch_id, batch_id + 10]

    prompts = ["abc", "a", "ab", "b", "abcd"]
    constraint = PrefixConstrainedLogitsProcessor(allowed, num_beams=1)
    texts = gen.generate(
        prompts, processors=[constraint], max_new_tokens=4, seed=1, batch_size=2, **options
    ).texts

    expected = [set(letters.decode([at, at + 10])) for at in range(5)]
    assert [True] * 5 == [set(text) <= one for text, one in zip(texts, expected, strict=True)]
    assert all(
        tokens[: len(prompts[at])] == tuple(letters.encode(prompts[at])) for at, tokens in asked
    )


def test_a_criterion_that_reads_scores_is_told_that_there_are_none():
    def confident(input_ids, scores):
        return scores[-1].amax(-1) > 0

    with pytest.raises(PluginContractError, match="A criterion's scores are None, as in"):
        as_criterion(confident).check(ROWS)
