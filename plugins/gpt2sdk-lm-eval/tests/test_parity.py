"""The numbers of the harness's own `hf` model, request by request and task by task."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("lm_eval", reason="needs lm_eval: pip install -r requirements-dev.txt")

from lm_eval.api.instance import Instance
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from gpt2sdk import Generator
from gpt2sdk_lm_eval import GPT2SDKLM

SHOTS = "The cat sat on the mat. And then the rat ran in and on. "
CONTEXTS = [
    "",
    "Once upon a time",
    "Once upon a time ",
    SHOTS + "Who ran in?",
    SHOTS + "Where did the cat sit?\n\n",
    SHOTS * 9 + "Long is",
    "é – “ü” 語",
    "<|endoftext|>the end",
    "On",
]
CONTINUATIONS = [" the rat", " a", "ce", " on the mat and in", "語 and é", "<|endoftext|>"]


def requests(kind, arguments):
    return [Instance(kind, {}, each, number) for number, each in enumerate(arguments)]


def as_hf(value):
    """Within 1e-4; beyond 1,000 nats, within two steps of float32, in which `hf` adds them up."""
    return pytest.approx(value, rel=0, abs=max(1e-4, 2 * float(np.spacing(np.float32(abs(value))))))


def test_loglikelihoods_are_those_of_hf(theirs, ours):
    pairs = [(context, text) for context in CONTEXTS for text in CONTINUATIONS]
    pairs = [pair for pair in pairs if pair not in (("On", "ce"), ("", "<|endoftext|>"))]
    pairs += [(SHOTS * 3, SHOTS * 6)]
    asked = requests("loglikelihood", pairs)

    expected = theirs.loglikelihood(asked, disable_tqdm=True)
    found = ours.loglikelihood(asked, disable_tqdm=True)
    for pair, one, other in zip(pairs, expected, found, strict=True):
        assert other[0] == as_hf(one[0]), pair
        assert other[1] == one[1], pair


def test_what_greedy_decoding_writes_is_greedy(theirs, ours):
    gen = ours.generator
    texts = [
        gen.generate(context, strategy="greedy", max_new_tokens=5, eos_token_id=None).text
        for context in ("Once upon a time", SHOTS)
    ]
    asked = requests("loglikelihood", [*zip(("Once upon a time", SHOTS), texts, strict=True)])

    assert [greedy for _, greedy in ours.loglikelihood(asked, disable_tqdm=True)] == [
        greedy for _, greedy in theirs.loglikelihood(asked, disable_tqdm=True)
    ]


def test_rolling_loglikelihoods_are_those_of_hf(theirs, ours):
    texts = ["a", "Once upon a time", SHOTS * 9, SHOTS * 21, "é語" * 80, "<|endoftext|>the end"]
    asked = requests("loglikelihood_rolling", [(text,) for text in texts])

    expected = theirs.loglikelihood_rolling(asked, disable_tqdm=True)
    found = ours.loglikelihood_rolling(asked, disable_tqdm=True)
    assert found == [as_hf(each) for each in expected]


def test_a_shorter_window_rolls_as_hf_does(folder):
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(pretrained=folder, device="cpu", max_length=32)
    ours = GPT2SDKLM(folder, max_length=32)
    rolling = requests("loglikelihood_rolling", [(SHOTS * 4,), ("the end",)])
    pairs = requests("loglikelihood", [(SHOTS * 2, " the end"), ("the", " end")])

    assert ours.loglikelihood_rolling(rolling) == [
        as_hf(each) for each in theirs.loglikelihood_rolling(rolling)
    ]
    for one, other in zip(theirs.loglikelihood(pairs), ours.loglikelihood(pairs), strict=True):
        assert other[0] == as_hf(one[0])


def test_texts_are_generated_as_hf_does(theirs, ours):
    kinds = [
        {"until": ["e"], "max_gen_toks": 12},
        {"until": ["\n\n", "th"], "max_gen_toks": 20, "do_sample": False, "temperature": 0.0},
        {"max_gen_toks": 6},
    ]
    contexts = ["Once upon a time", SHOTS, "a", SHOTS * 9]
    asked = requests(
        "generate_until", [(context, dict(kind)) for context in contexts for kind in kinds]
    )

    assert ours.generate_until(asked) == theirs.generate_until(asked, disable_tqdm=True)


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Return what knows three tasks that are made up here."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    documents = [
        {
            "question": f"{SHOTS}Who ran {where}?",
            "choices": ["the cat", "the rat", "on and on", "nobody at all"],
            "answer": number % 4,
            "text": SHOTS * (number + 1),
        }
        for number, where in enumerate(["in", "on", "up", "upon", "out", "away"])
    ]
    data = tmp_path / "documents.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in documents))
    common = f"""
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
"""
    (tmp_path / "choice.yaml").write_text(
        f"""task: tales_choice
output_type: multiple_choice
{common}
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
  - metric: acc_norm
"""
    )
    (tmp_path / "rolling.yaml").write_text(
        f"""task: tales_rolling
output_type: loglikelihood_rolling
{common}
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: word_perplexity
  - metric: bits_per_byte
"""
    )
    (tmp_path / "writing.yaml").write_text(
        f"""task: tales_writing
output_type: generate_until
{common}
doc_to_text: "{{{{question}}}}"
doc_to_target: " the"
generation_kwargs:
  until: ["a"]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
"""
    )
    return TaskManager(include_path=str(tmp_path), include_defaults=False)


@pytest.mark.slow
def test_tasks_have_the_results_of_hf(theirs, ours, tasks):
    names = ["tales_choice", "tales_rolling", "tales_writing"]
    options = {"tasks": names, "task_manager": tasks, "bootstrap_iters": 0, "log_samples": True}
    expected = simple_evaluate(model=theirs, num_fewshot=2, **options)
    found = simple_evaluate(model=ours, num_fewshot=2, **options)

    for name in names:
        for metric, value in expected["results"][name].items():
            mine = found["results"][name][metric]
            if isinstance(value, float) and "perplexity" in metric:
                # What is added up is its logarithm.
                assert math.log(mine) == as_hf(math.log(value)), (name, metric)
            else:
                assert mine == (as_hf(value) if isinstance(value, float) else value), (name, metric)
        pairs = zip(expected["samples"][name], found["samples"][name], strict=True)
        for one, other in pairs:
            assert one["doc_id"] == other["doc_id"]
            assert numbers(other["resps"]) == [as_hf(each) for each in numbers(one["resps"])]


def numbers(responses):
    """Return all numbers in the harness's record of a document, and texts as their bytes."""
    if isinstance(responses, str):
        return list(responses.encode())
    if isinstance(responses, bool | int | float):
        return [float(responses)]
    return [number for each in responses for number in numbers(each)]


def test_a_generator_can_be_handed_in(ours):
    generator = ours.generator
    assert isinstance(generator, Generator)
    assert GPT2SDKLM(generator, batch_size="auto").batch_size == 32


def test_what_is_wrong_is_said(ours):
    with pytest.raises(ValueError, match="max_length= is 2 to 256, the model's context; got 300"):
        GPT2SDKLM(ours.generator, max_length=300)
    with pytest.raises(ValueError, match="'ce' adds no token to 'On'"):
        ours.loglikelihood(requests("loglikelihood", [("On", "ce")]), disable_tqdm=True)
    with pytest.raises(ValueError, match="256 tokens are to be generated, and the window is 256"):
        ours.generate_until(requests("generate_until", [("a", {})]))


def test_examples_before_many_questions_are_read_once(folder):
    shots = "the dog and the cat and the dog and a cat. " * 3
    asked = [(shots + each, {"max_gen_toks": 2}) for each in ("a dog", "a cat", "the end")]
    alone = GPT2SDKLM(folder, prefix_cache=0)
    ours = GPT2SDKLM(folder)

    assert ours.generate_until(requests("generate_until", asked)) == alone.generate_until(
        requests("generate_until", asked)
    )
    shared = len(ours.tok_encode(shots)) - 1
    assert ours.generator.cache_info().tokens_saved >= 2 * shared
    assert alone.generator.cache_info().limit == 0


def test_sampling_is_seeded(folder):
    asked = requests(
        "generate_until",
        [("Once", {"do_sample": True, "temperature": 0.9, "top_p": 0.9, "max_gen_toks": 9})] * 2,
    )
    first = GPT2SDKLM(folder, seed=3).generate_until(asked)

    assert first == GPT2SDKLM(folder, seed=3).generate_until(asked)
    assert first != GPT2SDKLM(folder, seed=4).generate_until(asked)


def test_as_hf_tells_what_is_further_off():
    assert -300.0 + 9e-5 == as_hf(-300.0)
    assert -300.0 + 2e-4 != as_hf(-300.0)
    assert -1702.0 + 3e-4 != as_hf(-1702.0)
