"""Constraints at work in calls: alone, in batches, under beams, with drafters and triggers."""

import gc
import json
import re
from pathlib import Path
from weakref import ref

import pytest
from pydantic import BaseModel, Field, field_validator

from gpt2sdk import CallRecord, Generator, OptionError, each
from gpt2sdk.testing import tiny_tokenizer
from gpt2sdk_guided.choice import Choice
from gpt2sdk_guided.json_schema import JsonSchema
from gpt2sdk_guided.regex import Regex
from gpt2sdk_guided.vocabularies import words_of

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture(scope="module")
def generator():
    return Generator.from_pretrained("storyteller")


def guided(generator, prompt="The king:", **options):
    return generator.generate(prompt, **{"seed": 3, "max_new_tokens": 150, **options})


def test_json_is_parsed(generator):
    result = guided(generator, json_schema=PERSON)

    assert json.loads(result.text) == result.parsed
    assert ["name", "age"] == list(result.parsed)
    assert "constraint_complete" == result.completions[0].finish_reason


def test_forced_tokens_are_fed_together(generator):
    usage = guided(generator, json_schema=PERSON).usage

    # Behind a last forced token nothing is read, but it was scored ahead.
    assert usage.model_calls == usage.new_tokens - usage.accepted + 1
    assert 0 < usage.accepted == usage.drafted


def test_a_pydantic_model_is_a_schema_and_reads_the_text(generator):
    class Person(BaseModel):
        name: str
        age: int

    result = guided(generator, json_schema=Person)

    assert isinstance(result.parsed, Person)


def test_what_a_models_validator_refuses_is_not_parsed(generator):
    class Never(BaseModel):
        age: int

        @field_validator("age")
        @classmethod
        def refuse(cls, value):
            raise ValueError("no")

    result = guided(generator, json_schema=Never)

    assert result.parsed is None
    assert "constraint_complete" == result.completions[0].finish_reason


def test_a_path_is_read(generator, tmp_path):
    path = tmp_path / "schema.json"
    path.write_text('{"type": "null"}')

    assert "null" == guided(generator, json_schema=path).text


def test_a_path_of_a_grammar_is_read_once_and_recorded_as_text(generator, tmp_path):
    path = tmp_path / "beast.gbnf"
    path.write_text('root ::= "é" | "wolf"', encoding="utf-8")

    first = guided(generator, grammar=path)
    path.unlink()
    again = generator.generate("The king:", config=CallRecord.from_json(first.record.to_json()))

    assert first.text in ("é", "wolf")
    assert first.completions == again.completions


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Regex(regex="[a-z]{4}"), "[a-z]{4}"),
        (Choice(choice=("yes", "no")), "yes|no"),
        (JsonSchema(json_schema={"type": "boolean"}), "true|false"),
    ],
    ids=lambda form: getattr(form, "name", ""),
)
@pytest.mark.parametrize("strategy", ["smc", "metropolis_hastings", "particle_gibbs"])
def test_a_form_as_a_potential_ends_where_nothing_can_follow(generator, form, expected, strategy):
    result = guided(generator, potential=form, strategy=strategy, max_new_tokens=20)

    assert re.fullmatch(expected, result.text)
    assert "end_token" == result.completions[0].finish_reason


@pytest.mark.parametrize("limit", range(1, 8))
def test_a_text_that_is_cut_says_so(generator, limit):
    result = guided(generator, json_schema=PERSON, max_new_tokens=limit)

    assert "constraint_incomplete" == result.completions[0].finish_reason
    assert result.parsed is None


def test_a_text_that_may_stop_where_it_is_cut_has_the_reason_length(generator):
    result = guided(generator, regex="[a-z]+", max_new_tokens=3)

    assert "length" == result.completions[0].finish_reason


def test_rows_are_strangers(generator):
    prompts = ["The king:", "A dog", "Once upon a time there was a"]
    forms = [{"json_schema": PERSON}, {"regex": "[a-c]{2}-[0-9]{3}"}, {"choice": ("yes", "no")}]
    alone = [
        guided(generator, prompt, **form, max_new_tokens=80).text
        for prompt, form in zip(prompts, forms, strict=True)
    ]

    together = guided(
        generator,
        prompts,
        json_schema=each([PERSON, None, None]),
        regex=each([None, "[a-c]{2}-[0-9]{3}", None]),
        choice=each([None, None, ("yes", "no")]),
        seed=[3, 3, 3],
        max_new_tokens=80,
    )

    assert alone == together.texts


@pytest.mark.parametrize("drafter", ["prompt_lookup", "suffix"])
def test_a_drafter_changes_nothing(generator, drafter):
    plain = guided(generator, ["The king:", "A dog"], json_schema=PERSON)
    drafted = guided(generator, ["The king:", "A dog"], json_schema=PERSON, drafter=drafter)

    assert plain.texts == drafted.texts


@pytest.mark.parametrize("strategy", ["beam", "beam_sample", "diverse_beam", "best_of_n"])
def test_every_hypothesis_fits(generator, strategy):
    options = {"best_of_n": {"best_of": 4}, "diverse_beam": {"num_beams": 4, "num_beam_groups": 2}}
    own = options.get(strategy, {"num_beams": 4})

    result = guided(generator, ["The king:", "A dog"], json_schema=PERSON, strategy=strategy, **own)

    assert {"constraint_complete"} == {each.finish_reason for each in result.completions}
    for completion in result.completions:
        assert ["name", "age"] == list(json.loads(completion.text))


def test_a_row_that_goes_back_is_still_constrained(generator):
    result = guided(generator, regex="[a-z ]{30}", strategy="backtrack", banned_phrases=["a", "th"])

    assert re.fullmatch("[b-z ]{30}", result.text)
    assert "th" not in result.text


@pytest.mark.parametrize("ends", [(0,), (0, 5, 91), ()])
def test_several_end_tokens_end_a_text_that_may_end(generator, ends):
    result = guided(generator, regex="[a-z]{4,}", eos_token_id=ends, logit_bias={5: 50.0})

    reason = result.completions[0].finish_reason
    assert re.fullmatch("[a-z]{4,}", result.text)
    assert not ends or reason in ("end_token", "length")
    assert (reason == "end_token") == (5 in ends)


def test_an_end_token_waits_until_the_text_may_end(generator):
    bias = {generator.tokenizer.eos_token_id: 100.0}

    result = guided(generator, json_schema=PERSON, logit_bias=bias)

    assert ["name", "age"] == list(result.parsed)


def test_a_constraint_begins_behind_its_trigger(generator):
    result = guided(generator, choice=("yes", "no"), grammar_triggers=" the", max_new_tokens=120)

    lead, _, answer = result.text.partition(" the")
    assert lead
    assert answer in ("yes", "no")
    assert answer == result.parsed


def test_without_its_trigger_a_text_is_as_it_would_be(generator):
    plain = guided(generator)

    assert plain.text == guided(generator, regex="a", grammar_triggers="<<never>>").text


def test_a_gbnf_grammar_is_translated(generator):
    result = guided(generator, grammar='root ::= "a" [0-9]{1,3} b\nb ::= "x" | "y" b')

    assert re.fullmatch("a[0-9]{1,3}y*x", result.text)


def test_a_lark_grammar_is_followed(generator):
    result = guided(generator, grammar='start: "(" inner ")"\ninner: "x" | "(" inner ")"')

    assert re.fullmatch(r"\(+x\)+", result.text)


def test_whitespace_is_bounded(generator):
    result = guided(generator, json_schema=PERSON, json_max_whitespace=2)

    assert re.search(r"\s{3}", re.sub(r'"[^"]*"', "s", result.text)) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regex": "a("}, "regex is none that can be followed"),
        ({"regex": "(?=a)b"}, "look-around"),
        ({"grammar": "root ::= ("}, "no GBNF"),
        ({"grammar": Path("nope.gbnf")}, "grammar is a file that cannot be read.*nope.gbnf"),
        ({"grammar": "beasts.gbnf"}, "of a file, give a pathlib.Path"),
        ({"json_schema": {"enum": [object()]}}, "^json_schema has what JSON does not"),
        ({"grammar": "start: missing"}, "grammar is none that can be followed"),
        ({"json_schema": "{"}, "is no JSON"),
        ({"json_schema": "[1]"}, "is no schema"),
        ({"json_schema": "schema.json"}, "of a file, give a pathlib.Path"),
        ({"json_schema": int}, "expected a dict, JSON text, a pathlib.Path or a pydantic model"),
        ({"json_schema": [1]}, "expected a dict, JSON text, a pathlib.Path or a pydantic model"),
        ({"json_schema": {"$ref": "#/nowhere"}}, "leads nowhere"),
        ({"json_schema": {"not": {}}}, "has 'not' at #, which cannot be followed"),
        (
            {"json_schema": '"' + "a" * 300_000 + '"'},
            "has 300002 characters, expected 200000 at most",
        ),
        ({"regex": "a" * 300_000}, "200000"),
        ({"choice": ["a"] * 100_001}, "has 100001 texts, expected 1 to 10000"),
        ({"choice": []}, "has 0 texts"),
        ({"regex": ""}, "regex should have at least 1 character"),
        ({"json_schema": Path("nope.json")}, "cannot be read.*nope.json"),
        ({"regex": "a("}, "followed: unclosed group$"),
        ({"choice": ["a" * 150_000] * 7}, "1050000 characters in all, expected 1000000 at most"),
        ({"regex": "a", "choice": ["b"]}, "cannot act on one prompt"),
        ({"regex": "a", "token_healing": True}, "token_healing"),
    ],
)
def test_what_cannot_be_followed_is_refused(generator, options, said):
    with pytest.raises(OptionError, match=said) as caught:
        guided(generator, "the ti", **options)

    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("text", ["\x7f", 'a/\\"\n', "é\u2028", "a b", "\x00"])
def test_a_choice_may_have_any_characters(generator, text):
    assert text == guided(generator, choice=[text]).text


def test_words_go_with_their_vocabulary():
    tokenizer = tiny_tokenizer()
    words = ref(words_of(tokenizer, tokenizer.vocab_size))
    assert words() is not None

    del tokenizer
    gc.collect()

    assert words() is None


@pytest.mark.parametrize(
    "options",
    [
        {"json_schema": PERSON},
        {"json_schema": '{"type": "integer"}'},
        {"regex": "[a-c]{2,4}", "grammar_triggers": " "},
        {"grammar": 'root ::= "a" [0-9]{1,3}'},
        {"choice": ["yes", "no"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_record_repeats_a_form(generator, options):
    first = guided(generator, **options)
    again = generator.generate("The king:", config=CallRecord.from_json(first.record.to_json()))

    assert {} == first.record.unrepeatable
    assert first.completions == again.completions


def test_a_record_has_a_pydantic_model_as_its_schema(generator):
    class Pet(BaseModel):
        name: str
        legs: int = Field(ge=0, le=8)

    class Person(BaseModel):
        age: int
        pets: list[Pet] = Field(max_length=2)

    first = guided(generator, json_schema=Person, max_new_tokens=250)
    record = CallRecord.from_json(first.record.to_json())
    again = generator.generate("The king:", config=record)
    with_model = generator.generate("The king:", config=record, json_schema=Person)

    assert {} == record.unrepeatable
    assert Person.model_json_schema() == json.loads(record.options["json_schema"])
    assert first.text == again.text == with_model.text
    assert first.parsed.model_dump() == again.parsed
    assert first.parsed == with_model.parsed
    assert again.record.options == record.options


def test_a_record_of_several_prompts_has_each_ones_schema(generator):
    class Person(BaseModel):
        age: int

    first = guided(generator, ["The king:", "A dog"], json_schema=each([Person, None]))
    second = generator.generate("The king:", config=first.record.for_prompt(0))

    assert {} == first.record.unrepeatable
    assert {"age": first.completions[0].parsed.age} == second.parsed


def test_many_choices_are_one_automaton(generator):
    choice = [f"choice {each}" for each in range(10_000)]

    assert guided(generator, choice=choice).parsed in choice


def test_a_schema_that_is_nested_too_deeply_is_refused(generator):
    with pytest.raises(OptionError, match="nested too deeply"):
        guided(generator, json_schema='{"a":' * 20_000 + "1" + "}" * 20_000)


def test_a_bounded_schema_ends_recursion(generator):
    tree = {
        "type": "object",
        "properties": {"child": {"$ref": "#"}},
        "required": ["child"],
    }
    with pytest.raises(OptionError, match="leaves nothing"):
        guided(generator, json_schema=tree)
