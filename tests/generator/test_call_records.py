"""The record of a call: what it says, what it repeats, and what it refuses."""

import json

import pytest
import torch

from gpt2sdk import CallRecord, Generator, LogitsProcessor, OptionError, each, strategy
from gpt2sdk.components import TopK
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2

LETTERS = Letters()


@pytest.fixture(scope="module")
def gen():
    model = TableModel(29, order=1, bias={28: -1.0}, context_length=512)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[28])


def gpt2(seed=0):
    return Generator(tiny_gpt2(seed), LETTERS, decoder=LETTERS, eos_token_ids=[])


def told(result):
    return [(one.tokens, one.text, one.logprobs) for one in result.completions]


class Unknown(LogitsProcessor):
    """No plugin offers it."""

    unknown: float = 0.0

    def process(self, logits, rows):
        return logits + self.unknown


@strategy(rows_independent=True)
def own(session, *, width: int = 2):
    """Only this file knows it."""
    while session.running:
        yield session.append(session.choose(session.process(session.next_logits())))


def test_a_record_says_what_acted_and_where_it_comes_from(gen):
    record = gen.generate("ab", top_k=5, seed=3, max_new_tokens=2).record

    assert [("strategy", "sample"), ("sampler", "multinomial"), ("logits processor", "top_k")] == [
        (one.role, one.name) for one in record.components
    ]
    assert ("gpt2sdk-sampling", record.versions["gpt2sdk-sampling"], 5) == (
        record.components[2].distribution,
        record.components[2].version,
        record.components[2].options["top_k"],
    )
    assert {"gpt2sdk", "torch"} <= record.versions.keys()
    assert (3,) == record.row_seeds
    assert {} == record.unrepeatable


def test_a_seed_that_was_drawn_is_recorded(gen):
    first = gen.generate("ab", max_new_tokens=20)

    assert told(first) == told(gen.generate("ab", config=first.record))


def test_options_as_they_are_in_a_result_are_a_preset(gen):
    first = gen.generate("ab", max_new_tokens=20, processors=[TopK(top_k=4)])

    assert told(first) == told(gen.generate("ab", config=first.options))


def test_streams_have_records_too(gen):
    with gen.stream(["ab", "c"], max_new_tokens=9, temperature=[0.5, 2.0]) as stream:
        list(stream)

    assert told(stream.result) == told(gen.generate(["ab", "c"], config=stream.result.record))


def test_a_call_on_a_shared_engine_repeats_on_another_one(gen):
    first = gen.generate("ab", max_new_tokens=9, engine=gen.engine(batch_size=3))
    again = gen.generate("ab", config=first.record, engine=gen.engine(batch_size=2))
    assert told(first) == told(again)


def test_what_the_call_gives_goes_before_its_config(gen):
    record = gen.generate("ab", max_new_tokens=9, seed=1).record

    assert 4 == len(
        gen.generate("ab", config=record, max_new_tokens=4, eos_token_id=None).completions[0].tokens
    )


def test_a_record_of_several_prompts_needs_as_many(gen):
    record = gen.generate(["ab", "c"], temperature=[0.5, 1.0], max_new_tokens=3).record

    with pytest.raises(OptionError, match=r"for one of them record\.for_prompt"):
        gen.generate("ab", config=record)
    with pytest.raises(OptionError, match="there is no prompt 2: the call had 2"):
        record.for_prompt(2)
    with pytest.raises(OptionError, match="index is True, expected a prompt's number, from 0"):
        record.for_prompt(index=True)


def test_a_record_is_continued_with_a_strategy_that_takes_no_sampler(gen):
    record = gen.generate("ab", max_new_tokens=3, top_p=1.0).record
    beams = gen.generate("ab", config=record, strategy="beam")

    assert told(gen.generate("ab", strategy="beam", max_new_tokens=3)) == told(beams)
    assert told(gen.generate("ab", config=beams.record)) == told(beams)


def test_a_prompt_without_a_component_is_repeated_without_it(gen):
    result = gen.generate(
        ["ab", "c"], stop=each([["d"], None]), top_k=[0, 3], max_new_tokens=9, seed=4
    )
    for index, prompt in enumerate(["ab", "c"]):
        again = gen.generate(prompt, config=result.record.for_prompt(index))
        assert told(result)[index : index + 1] == told(again)


@pytest.mark.parametrize(
    ("options", "key", "why"),
    [
        (
            {"processors": [lambda logits, rows: logits]},
            "processors",
            "processors[0] is lambda, which no installed plugin offers",
        ),
        (
            {"processors": [TopK(top_k=3), Unknown(unknown=1.0)]},
            "processors",
            "processors[1] is unknown, which no",
        ),
        ({"stopping": [lambda rows: False]}, "stopping", "stopping[0] is lambda, which no"),
        ({"strategy": own}, "strategy", "strategy is own, which no installed plugin offers"),
        (
            {"strategy": "best_of_n", "scorer": len},
            "scorer",
            "scorer is builtins.len, an object of the caller's",
        ),
        (
            {"drafter": "draft_model", "assistant_model": TableModel(29)},
            "assistant_model",
            "assistant_model is gpt2sdk.testing.table_model.TableModel, an object",
        ),
    ],
)
def test_what_a_record_cannot_set_is_named(gen, options, key, why):
    first = gen.generate("ab", max_new_tokens=4, **options)

    assert first.record.unrepeatable[key].startswith(why)
    with pytest.raises(OptionError) as caught:
        gen.generate("ab", config=json.loads(first.record.to_json()))
    assert str(caught.value).endswith(f"give {key}=… with the call")
    again = gen.generate("ab", config=first.record, **{key: options[key]})
    assert told(first) == told(again)


def test_a_file_is_named_by_the_caller_only(gen, tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("abc" * 9)
    first = gen.generate("ab", drafter="corpus", corpus=str(file), max_new_tokens=9)

    assert {"corpus": "corpus names files or models"} == first.record.unrepeatable
    assert told(first) == told(gen.generate("ab", config=first.record, corpus=str(file)))
    assert told(first) == told(gen.generate("ab", config=first.record, drafter=None))


def test_a_record_is_of_one_model():
    first, other = gpt2(0), gpt2(1)
    record = first.generate("ab", max_new_tokens=3).record

    assert told(first.generate("ab", config=record)) == told(gpt2(0).generate("ab", config=record))
    with pytest.raises(OptionError, match="the record is of a call of another model: fingerprint"):
        other.generate("ab", config=record)
    assert other.generate("ab", config=record.options).record.options == record.options


def test_a_record_of_a_model_loaded_otherwise_says_how_in_python(tmp_path):
    pytest.importorskip("gpt2sdk_quantization")
    from gpt2sdk.testing import save_tiny_model

    save_tiny_model(tmp_path / "tiny")
    plain = Generator.from_pretrained(tmp_path / "tiny")
    packed = Generator.from_pretrained(tmp_path / "tiny", quantization="int8")
    record = packed.generate("a", max_new_tokens=2).record

    with pytest.raises(OptionError) as caught:
        plain.generate("a", config=record)
    assert "load the model as it was, with quantization='int8'; or for its" in str(caught.value)
    assert str(caught.value).endswith("give config= what it has as options")
    assert plain.generate("a", config=record.options).record.options == record.options
    with pytest.raises(OptionError, match="load the model as it was, without quantization=;"):
        packed.generate("a", config=plain.generate("a", max_new_tokens=2).record)


def test_a_fingerprint_follows_the_weights():
    gen = gpt2()
    before = gen.model_identity["fingerprint"]
    with torch.no_grad():
        for parameter in gen.model.parameters():
            parameter.add_(1.0)

    assert before != gen.model_identity["fingerprint"]
    assert before == gpt2().model_identity["fingerprint"]
    assert 16 == len(before)


def test_a_record_from_json_is_checked():
    for text in ("[", "[]", '{"options": 3}'):
        with pytest.raises(OptionError, match="a record is"):
            CallRecord.from_json(text)


def test_a_record_is_found_in_what_the_command_line_prints(gen):
    record = gen.generate("ab", max_new_tokens=2).record
    printed = json.dumps({"model": "m", "prompts": ["ab"], "record": record.as_dict()})

    assert record == CallRecord.from_json(printed)
