"""`gpt2sdk next-token`: the likeliest tokens with their probabilities."""

import json

import pytest


def test_tokens_are_ranked(invoke, model, generator):
    expected = generator.next_token("Once upon", n=3)

    printed = invoke("next-token", model, "Once upon", "--top", "3").stdout.splitlines()

    assert ["token", "probability", "log-probability", "id"] == printed[0].split()
    assert [
        [f"{probability:.4f}", f"{logprob:.4f}", str(token)]
        for probability, logprob, token in zip(
            expected.probabilities, expected.logprobs, expected.tokens, strict=True
        )
    ] == [line.split()[-3:] for line in printed[1:4]]
    assert [repr(text) for text in expected.texts] == [
        line.strip().rsplit(maxsplit=3)[0] for line in printed[1:4]
    ]
    assert f"of {expected.support} that can come; entropy {expected.entropy:.2f} nats" == (
        printed[4].strip()
    )


def test_json_holds_the_numbers_behind_the_options(invoke, model, generator):
    prompts = ["Once", "the cat"]
    expected = generator.next_token(prompts, n=4, temperature=0.5, top_k=3)

    given = ("next-token", model, "-", "--lines", "--top", "4", "-o", "temperature=0.5")
    ran = invoke(*given, "-o", "top_k=3", "--json", stdin="Once\nthe cat\n")

    record = json.loads(ran.stdout)
    assert model == record["model"]
    assert [
        {
            "prompt": prompt,
            "support": 3,
            "entropy": pytest.approx(one.entropy),
            "tokens": [
                {"token": token, "text": text, "probability": chance, "logprob": logprob}
                for token, text, chance, logprob in zip(
                    one.tokens, one.texts, one.probabilities, one.logprobs, strict=True
                )
            ],
        }
        for prompt, one in zip(prompts, expected, strict=True)
    ] == record["next_tokens"]


def test_several_prompts_stand_above_their_tokens(invoke, model):
    ran = invoke("next-token", model, "-", "--lines", "--top", "1", stdin="Once\nthe cat\n")

    assert ["Once", "", "the cat"] == [
        line for line in ran.stdout.splitlines() if not line.startswith(" ") or not line.strip()
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--top", "0"], "greater than or equal to 1"),
        (["-o", "temprature=2"], "did you mean temperature?"),
        (["-o", "top_p=7"], "top_p"),
        (["-o", "strategy=beam"], "is no option of next_token"),
        (["-o", "max_new_tokens=3"], "is no option of next_token"),
        (["-o", "stop=x"], "is no option of next_token"),
    ],
)
def test_what_is_wrong_is_one_line_before_a_model_is_loaded(invoke, flags, said):
    ran = invoke("next-token", "nowhere", "Once", *flags)

    assert 2 == ran.exit_code
    assert said in ran.stderr
    assert 1 == len(ran.stderr.splitlines())


def test_prompts_may_come_from_a_file_or_from_standard_input(invoke, model, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("Once\nthe cat\n", "utf-8")
    expected = invoke("next-token", model, "-", "--lines", stdin="Once\nthe cat\n").stdout

    assert expected == invoke("next-token", model, "--file", str(file), "--lines").stdout
    assert expected == invoke("next-token", model, "--lines", stdin="Once\nthe cat\n").stdout
    both = invoke("next-token", model, "a", "-f", str(file))
    assert "a prompt was given as an argument and with --file: give one" in both.stderr
