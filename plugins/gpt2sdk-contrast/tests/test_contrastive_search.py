"""Contrastive search: against one that reads all anew, alone, in batches and with all that acts."""

from typing import Annotated

import pytest
import torch
from pydantic import Field
from transformers import AutoModelForCausalLM

from gpt2sdk import Drafter, GenerationError, Generator, LogitsProcessor, OptionError
from gpt2sdk.testing import TableModel, tiny_tokenizer
from gpt2sdk_contrast.contrastive_search import best, candidates, penalties

PROMPTS = ["Once upon the pond", "a", "the and the and the and the and", "He"]
OPTIONS = {"strategy": "contrastive_search", "max_new_tokens": 12}


def search(
    model, prompt, count, *, alpha=0.6, top_k=4, ends=(), process=lambda logits, row: logits
):
    """Return the tokens of contrastive search, every position read anew for every candidate.

    Su et al. (2022), equation 5, with the hidden states of `transformers`: the last of
    `hidden_states`, which for GPT-2 are behind the final norm.
    """
    row = list(prompt)
    while len(row) < len(prompt) + count:
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0, -1]
        probs = process(logits, row).softmax(-1)
        scored = []
        for token in probs.topk(top_k).indices.tolist():
            with torch.no_grad():
                output = model(torch.tensor([[*row, token]]), output_hidden_states=True)
            states = output.hidden_states[-1][0]
            cosines = torch.nn.functional.cosine_similarity(states[:-1], states[-1:])
            scored.append(((1 - alpha) * probs[token] - alpha * cosines.max(), token))
        row.append(max(scored, key=lambda each: float(each[0]))[1])
        if row[-1] in ends:
            break
    return tuple(row[len(prompt) :])


@pytest.fixture(scope="module")
def generator(build):
    """Return a generator; nothing ends its rows but their length."""
    return Generator(build(layers=3), tiny_tokenizer(), eos_token_ids=[])


@pytest.fixture(scope="module")
def theirs(generator, tmp_path_factory):
    """Return the same model in transformers."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    generator.save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder)


def expected(generator, theirs, count=12, prompts=PROMPTS, **options):
    encode = generator.tokenizer.encode
    return [search(theirs, encode(prompt), count, **options) for prompt in prompts]


def tokens(result):
    return [completion.tokens for completion in result.completions]


@pytest.mark.parametrize(("alpha", "top_k"), [(0.6, 4), (0.3, 2), (0.9, 9), (1.0, 3)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_tokens_are_those_of_a_search_that_reads_all_anew(
    alpha, top_k, batch_size, generator, theirs
):
    found = generator.generate(
        PROMPTS, penalty_alpha=alpha, top_k=top_k, batch_size=batch_size, **OPTIONS
    )

    assert expected(generator, theirs, alpha=alpha, top_k=top_k) == tokens(found)
    assert tokens(generator.generate(PROMPTS, **{**OPTIONS, "strategy": "greedy"})) != tokens(found)


@pytest.mark.parametrize("options", [{"penalty_alpha": 0.0}, {"top_k": 1}])
def test_without_penalty_or_choice_it_is_greedy(options, generator):
    greedy = generator.generate(PROMPTS, strategy="greedy", max_new_tokens=12)

    assert tokens(greedy) == tokens(generator.generate(PROMPTS, **OPTIONS, **options))


class Told(Drafter):
    """Proposes what a row is known to become."""

    told: Annotated[tuple[tuple[int, ...], ...], Field(description="Tokens of each prompt.")] = ()

    def propose(self, rows, k):
        records = rows.records
        lines = [self.told[row.prompt.index][row.grown :][:k] for row in records]
        return torch.tensor([[*line, *[-1] * (k - len(line))] for line in lines])


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_drafter_changes_no_token(wrong, generator):
    options = {**OPTIONS, "max_new_tokens": 40, "penalty_alpha": 0.1}
    plain = generator.generate(PROMPTS, **options)
    told = [
        [token if at % 4 else token + wrong for at, token in enumerate(each)]
        for each in tokens(plain)
    ]
    drafted = generator.generate(PROMPTS, drafter=Told(told=told), **options)

    assert tokens(plain) == tokens(drafted)
    assert 0 < drafted.usage.accepted < drafted.usage.drafted
    assert plain.usage.model_calls == drafted.usage.model_calls


def test_there_is_one_pass_for_each_token_and_the_prompt_is_read_once(generator):
    result = generator.generate(PROMPTS[:1], **OPTIONS)
    prompt = len(generator.tokenizer.encode(PROMPTS[0]))

    assert 1 + 12 == result.usage.model_calls
    assert prompt + 4 * 12 == result.usage.tokens_fed


def test_prompts_end_at_different_steps(generator, theirs):
    plain = expected(generator, theirs)
    ends = {plain[0][2], plain[2][7]}

    found = generator.generate(PROMPTS, eos_token_id=sorted(ends), **OPTIONS)

    assert expected(generator, theirs, ends=ends) == tokens(found)
    assert len({len(each) for each in tokens(found)}) > 1


def test_prompts_may_have_different_lengths_to_grow(generator, theirs):
    found = generator.generate(PROMPTS, **{**OPTIONS, "max_new_tokens": [3, 12, 1, 5]})

    whole = expected(generator, theirs)
    assert [each[:n] for each, n in zip(whole, [3, 12, 1, 5], strict=True)] == tokens(found)


def test_stop_strings_end_the_row_that_was_taken(generator):
    plain = generator.generate(PROMPTS, **OPTIONS)
    stop = plain.texts[0][4:6]
    stopped = generator.generate(PROMPTS, stop=[stop], **OPTIONS)

    assert "stop_string" == stopped.completions[0].finish_reason
    assert [text.partition(stop)[0] for text in plain.texts] == stopped.texts


def test_streams_show_what_will_stand(generator):
    stream = generator.stream(PROMPTS, **OPTIONS)
    told = [""] * len(PROMPTS)
    deltas = 0
    for delta in stream:
        told[delta.prompt_index] += delta.text
        deltas += 1

    assert stream.result.texts == told
    assert deltas > 3 * len(PROMPTS)


def test_processors_act_on_what_candidates_are_taken_from(generator, theirs):
    def penalise(logits, row):
        seen = torch.tensor(sorted(set(row)))
        values = logits[seen]
        return logits.index_put((seen,), torch.where(values > 0, values / 1.5, values * 1.5))

    found = generator.generate(PROMPTS, repetition_penalty=1.5, **OPTIONS)

    assert expected(generator, theirs, process=penalise) == tokens(found)


def test_memories_follow_the_row_that_was_taken(generator, theirs):
    def again(logits, row):
        return logits.index_fill(0, torch.tensor(row[-3:]), -torch.inf)

    class NotAgain(LogitsProcessor):
        """Rules out the last three tokens, from memory."""

        def start(self, session):
            memory = session.per_row(
                lambda prompt: prompt.tokens[-3:], lambda old, token, _: (*old, token)[-3:]
            )
            return Run(memory)

    class Run:
        def __init__(self, memory):
            self.memory = memory

        def process(self, logits, rows):
            lines = zip(logits, self.memory[rows], strict=True)
            return torch.stack([again(line, list(last)) for line, last in lines])

    found = generator.generate(PROMPTS, processors=[NotAgain()], **OPTIONS)

    assert expected(generator, theirs, process=again) == tokens(found)


def test_what_is_ruled_out_is_no_candidate(generator):
    allowed = [5, 9]

    def only(logits, rows):
        keep = torch.full_like(logits, -torch.inf)
        return keep.index_copy(1, torch.tensor(allowed), logits[:, allowed])

    found = generator.generate(PROMPTS, processors=[only], penalty_alpha=1.0, **OPTIONS)

    assert {5, 9} == {token for each in tokens(found) for token in each}


def test_a_row_that_is_left_without_a_token_ends_alone(generator):
    def starve(logits, rows):
        dead = (rows.prompt_index == 1) & (rows.lengths == rows.prompt_lengths + 2)
        return logits.masked_fill(dead[:, None], -torch.inf)

    with pytest.raises(GenerationError, match="prompt 1") as raised:
        generator.generate(PROMPTS, processors=[starve], **OPTIONS)

    whole = tokens(generator.generate(PROMPTS, **OPTIONS))
    found = [each.tokens for each in raised.value.partial.completions]
    assert [whole[0], whole[1][:2], *whole[2:]] == found


def test_a_prompt_that_fails_at_its_beginning_fails_alone(generator):
    class Fussy(LogitsProcessor):
        """Refuses to remember one of the prompts."""

        def start(self, session):
            session.per_row(lambda prompt: 1 // (1 - prompt.index), lambda old, token, _: old)
            return self

        def process(self, logits, rows):
            return logits

    with pytest.raises(GenerationError, match="prompt 1") as raised:
        generator.generate(PROMPTS, processors=[Fussy()], **OPTIONS)

    whole = tokens(generator.generate(PROMPTS, **OPTIONS))
    found = [each.tokens for each in raised.value.partial.completions]
    assert [whole[0], (), *whole[2:]] == found


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]])
def test_where_no_row_has_a_token_left_the_call_ends(prompts, generator):
    with pytest.raises(GenerationError, match="no token"):
        generator.generate(prompts, processors=[lambda logits, rows: logits - torch.inf], **OPTIONS)


def test_logprobs_are_those_of_the_tokens_taken(generator, theirs):
    result = generator.generate(PROMPTS[:2], logprobs=0, **OPTIONS)

    for prompt, completion in zip(PROMPTS, result.completions, strict=False):
        row = [*generator.tokenizer.encode(prompt), *completion.tokens]
        with torch.no_grad():
            logprobs = theirs(torch.tensor([row])).logits[0].log_softmax(-1)
        at = len(row) - len(completion.tokens) - 1
        scored = [logprobs[at + i, token] for i, token in enumerate(completion.tokens)]
        torch.testing.assert_close(torch.stack(scored), torch.tensor(completion.logprobs))


def test_a_row_may_fill_the_window_and_its_last_token_is_the_likeliest(generator, theirs):
    prompt = PROMPTS[0]
    room = 64 - len(generator.tokenizer.encode(prompt)) + 1
    result = generator.generate(prompt, strategy="contrastive_search", max_new_tokens=room)

    (whole,) = expected(generator, theirs, room - 1, [prompt])
    row = [*generator.tokenizer.encode(prompt), *whole]
    with torch.no_grad():
        last = int(theirs(torch.tensor([row])).logits[0, -1].argmax())
    assert (*whole, last) == result.completions[0].tokens


@pytest.mark.parametrize("batch_size", [1, 2])
def test_rows_slide_on_alone_as_in_a_batch(batch_size, generator):
    options = {"strategy": "contrastive_search", "max_new_tokens": 90, "overflow": "slide"}
    alone = [generator.generate(prompt, **options).text for prompt in PROMPTS[:2]]

    assert alone == generator.generate(PROMPTS[:2], batch_size=batch_size, **options).texts


def test_on_one_engine_with_other_calls_nothing_changes(generator):
    plain = generator.generate(PROMPTS, **OPTIONS)
    engine = generator.engine(batch_size=8)
    sampled = generator.stream(PROMPTS, seed=3, max_new_tokens=12, engine=engine)
    searched = generator.stream(PROMPTS, engine=engine, **OPTIONS)
    for _ in sampled:
        pass
    for _ in searched:
        pass

    assert plain.texts == searched.result.texts
    assert generator.generate(PROMPTS, seed=3, max_new_tokens=12).texts == sampled.result.texts


def test_several_completions_would_be_the_same(generator):
    with pytest.raises(OptionError, match="all would be the same; expected 1"):
        generator.generate("Once", num_return_sequences=2, **OPTIONS)


class Plain(TableModel):
    """A model that has no final norm."""

    final_norm = property()


def test_a_model_without_a_final_norm_is_refused():
    generator = Generator(Plain(tiny_tokenizer().vocab_size), tiny_tokenizer())
    with pytest.raises(OptionError, match="Plain has none"):
        generator.generate("Once", **OPTIONS)


def test_candidates_of_rows_that_are_over_are_the_rows_themselves():
    logits = torch.tensor([[0.5, 0.2, 0.3], [0.6, 0.4, 0.0]]).log()

    found = candidates(logits, [None, "length"], 2)

    assert ([0, 0, 1], [0, 2, -1]) == (found.parents, found.tokens)
    torch.testing.assert_close([0.5, 0.3, 0.0], found.probs)


def test_the_penalty_is_the_largest_cosine_with_the_candidates_own_row():
    context = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.6, 0.8]])]
    state = torch.tensor([0.8, 0.6])

    torch.testing.assert_close([0.8, 0.96], penalties([state, state], context))


def test_the_likelier_of_equals_is_taken():
    assert [1, 4] == best([0.1, 0.3, 0.3, -1.0, -0.5], [0, 0, 0, 1, 1])
