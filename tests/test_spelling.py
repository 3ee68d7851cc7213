"""A misspelled name finds what was meant, and never something with another meaning."""

import pytest

from gpt2sdk.spelling import likely

OPTIONS = """
    bad_words batch_size drafter eos_token_id eta frequency_penalty guidance_scale ignore_case
    length_penalty logprobs max_new_tokens max_time min_new_tokens min_p num_beams
    presence_penalty repetition_penalty seed stop stop_token_ids strategy temperature top_h top_k
    top_p typical_p
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("temprature", ["temperature"]),
        ("tempreature", ["temperature"]),
        ("topp", ["top_p"]),
        ("TopP", ["top_p"]),
        ("top-k", ["top_k"]),
        ("maxNewTokens", ["max_new_tokens"]),
        ("max_new_token", ["max_new_tokens"]),
        ("stop_token_id", ["stop_token_ids"]),
        ("repitition_penalty", ["repetition_penalty"]),
        ("num_beam", ["num_beams"]),
        ("sede", ["seed"]),
        ("typicalp", ["typical_p"]),
    ],
)
def test_slips_find_their_name(written, meant):
    assert meant == likely(written, OPTIONS.split())


OTHERS = """
    pad_token_id suppress_tokens ignore_eos min_tokens skip_special_tokens top_a top_n topn
    max_p min_k max_time_step min_time eos_token_ids_list beam_size patch beta_size penalty_alpha
    presence guidance
"""


def test_other_words_are_other_meanings():
    found = {written: likely(written, OPTIONS.split()) for written in OTHERS.split()}

    assert {} == {written: names for written, names in found.items() if names}


def test_the_likeliest_names_come_first_and_not_too_many_of_them():
    assert ["tables", "tale"] == likely("tales", ["tables", "tale", "trees"])
    assert ["tables"] == likely("tales", ["tables", "tale", "trees"], most=1)


def test_a_name_of_a_million_letters_is_no_misspelling():
    assert likely("x" * 1_000_000, ["x", "temperature"]) == []
