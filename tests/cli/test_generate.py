"""`gpt2sdk generate`: prompts in, text out."""

import json

import pytest

LOUD = '''
"""A plugin in one file, whose component says when it is made."""

import sys

from gpt2sdk import LogitsProcessor, hookimpl


class Loud(LogitsProcessor):
    """Does nothing but that."""

    volume: int = 0

    def model_post_init(self, context):
        print(f"volume {self.volume}", file=sys.stderr)

    def process(self, logits, rows):
        return logits


@hookimpl
def gpt2sdk_components():
    return (Loud,)
'''
SHORT = ("--max-new-tokens", "5", "--seed", "3")


@pytest.fixture(scope="module")
def expected(generator):
    """Return what the library generates for a prompt with the options of `SHORT`."""
    return lambda prompt: generator.generate(prompt, max_new_tokens=5, seed=3).text


def test_what_prompts_begin_with_alike_is_read_once_where_a_size_is_given(invoke, model):
    shots = "Once upon the pond, once upon the pond, "
    prompts = "".join(f"{shots}{each}\n" for each in ("a", "b", "the"))
    flags = ("--lines", "--json", *SHORT)
    plain = json.loads(invoke("generate", model, *flags, stdin=prompts).stdout)
    kept = json.loads(
        invoke("generate", model, *flags, "--prefix-cache", "1MB", stdin=prompts).stdout
    )

    assert kept["completions"] == plain["completions"]
    assert kept["usage"]["tokens_fed"] < plain["usage"]["tokens_fed"] - 30


def test_a_prefix_cache_of_no_size_is_refused_in_the_commands_words(invoke, model):
    ran = invoke("generate", model, "a", "--prefix-cache", "much")

    assert ran.exit_code == 2
    assert "--prefix-cache" in ran.stderr


def test_the_text_goes_to_standard_output_and_its_cost_to_standard_error(invoke, model, expected):
    ran = invoke("generate", model, "Once", *SHORT)

    assert (0, expected("Once") + "\n") == (ran.exit_code, ran.stdout)
    assert ran.stderr.startswith("5 tokens, ")
    assert ran.stderr.endswith(" tokens/s, 5 model calls, seed 3\n")


def test_quiet_leaves_the_text_only(invoke, model):
    assert not invoke("generate", model, "Once", *SHORT, "--quiet").stderr


@pytest.mark.parametrize("dash", [(), ("-",), ("--file", "-")])
def test_the_prompt_may_come_from_standard_input(invoke, model, expected, dash):
    ran = invoke("generate", model, *dash, *SHORT, stdin="Once upon\na time\n")

    assert expected("Once upon\na time") + "\n" == ran.stdout


@pytest.mark.parametrize("content", [b"Once\n", b"Once", b"\xef\xbb\xbfOnce\r\n"])
def test_the_prompt_may_come_from_a_file(invoke, model, expected, tmp_path, content):
    file = tmp_path / "prompt.txt"
    file.write_bytes(content)

    assert expected("Once") + "\n" == invoke("generate", model, "-f", str(file), *SHORT).stdout


def test_each_line_may_be_a_prompt(invoke, model, generator):
    texts = generator.generate(["Once", "Twice"], max_new_tokens=5, seed=3).texts

    ran = invoke("generate", model, "--lines", *SHORT, stdin="Once\n\nTwice\n")

    assert ran.stdout == f"--- 1  Once\n{texts[0]}\n\n--- 2  Twice\n{texts[1]}\n\n"


def test_only_line_breaks_end_a_line(invoke, model, generator):
    prompts = ["Once\u2028upon", "a\x0ctime", "in\x85the", "end\rof"]
    texts = generator.generate(prompts, max_new_tokens=5, seed=3).texts

    ran = invoke(
        "generate",
        model,
        "--lines",
        "--json",
        *SHORT,
        stdin="\n".join(prompts[:2]) + "\r\n" + "\n".join(prompts[2:]),
    )

    found = [(each["prompt"], each["text"]) for each in json.loads(ran.stdout)["completions"]]
    assert list(zip(prompts, texts, strict=True)) == found


def test_special_tokens_in_a_prompt_are_text_unless_they_are_allowed(invoke, model, generator):
    prompt = "Once<|endoftext|>upon"
    encode = generator.tokenizer.encode
    counts, texts = [], []
    for flags in ((), ("--allow-special",)):
        record = json.loads(invoke("generate", model, prompt, *flags, "--json", *SHORT).stdout)
        counts.append(record["usage"]["prompt_tokens"])
        texts.append((record["completions"][0]["prompt"], record["completions"][0]["text"]))
    expected = generator.generate(
        [encode(prompt), encode(prompt, allow_special=True)], max_new_tokens=5, seed=[3, 3]
    ).texts

    assert [len(encode(prompt)), len(encode(prompt, allow_special=True))] == counts
    assert [(prompt, text) for text in expected] == texts


def test_several_completions_are_numbered(invoke, model, generator):
    texts = generator.generate("Once", max_new_tokens=5, seed=3, num_return_sequences=2).texts

    ran = invoke("generate", model, "Once", *SHORT, "-n", "2")

    assert ran.stdout == f"--- 1.1  Once\n{texts[0]}\n\n--- 1.2  Once\n{texts[1]}\n\n"


def test_flags_are_options(invoke, model, generator):
    options = {"temperature": 0.5, "top_k": 9, "top_p": 0.8, "seed": 1, "max_new_tokens": 4}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]

    ran = invoke("generate", model, "Once", *flags)

    assert generator.generate("Once", **options).text + "\n" == ran.stdout


def test_json_holds_all_there_is_to_know(invoke, model, generator):
    result = generator.generate("Once", max_new_tokens=5, seed=3, logprobs=2)

    ran = invoke("generate", model, "Once", *SHORT, "--json", "-o", "logprobs=2")
    record = json.loads(ran.stdout)

    (completion,) = result.completions
    assert record["completions"] == [
        {
            "prompt": "Once",
            "text": completion.text,
            "tokens": list(completion.tokens),
            "prompt_index": 0,
            "sample_index": 0,
            "finish_reason": "length",
            "score": None,
            "logprobs": list(completion.logprobs),
            "parsed": None,
            "processed_logprobs": list(completion.processed_logprobs),
            "support": list(completion.support),
            "top_logprobs": [[list(pair) for pair in step] for step in completion.top_logprobs],
        }
    ]
    assert record["model"] == model
    assert record["usage"]["new_tokens"] == 5
    assert record["options"] == dict(result.options)
    assert not ran.stderr


def test_beams_have_scores(invoke, model):
    ran = invoke("generate", model, "Once", *SHORT[:2], "--strategy", "beam", "-n", "2", "--json")
    completions = json.loads(ran.stdout)["completions"]

    assert [0, 1] == [each["sample_index"] for each in completions]
    assert completions[0]["score"] >= completions[1]["score"]


def test_prompts_may_differ_in_their_options(invoke, model, generator):
    ran = invoke(
        *(
            "generate",
            model,
            "--lines",
            "--json",
            "-o",
            "seed=[7, 8]",
            "-o",
            "max_new_tokens=[2,3]",
        ),
        stdin="Once\nTwice",
    )
    record = json.loads(ran.stdout)

    texts = generator.generate(["Once", "Twice"], seed=[7, 8], max_new_tokens=[2, 3]).texts
    assert texts == [each["text"] for each in record["completions"]]


def test_what_json_says_of_options_can_be_given_again(invoke, model):
    first = invoke("generate", model, "Once", *SHORT, "-o", "top_p=0.7", "--json")
    record = json.loads(first.stdout)
    options = {name: v for name, v in record["options"].items() if name != "versions"}
    given = [part for name, v in options.items() for part in ("-o", f"{name}={json.dumps(v)}")]

    again = json.loads(invoke("generate", model, "Once", *given, "--json").stdout)

    assert record["completions"] == again["completions"]


def test_a_failure_shows_what_was_made_first(invoke, model, rules):
    ran = invoke("generate", model, "Once", *SHORT, "--plugin", rules, "-o", "fail_at=3")

    whole = invoke("generate", model, "Once", "--max-new-tokens", "3", "--seed", "3")
    assert (1, whole.stdout) == (ran.exit_code, ran.stdout)
    expected = "error: prompt 0, step 3: fail raised ArithmeticError: no more of this\n"
    assert ran.stderr.endswith(expected)


def test_a_failure_is_a_part_of_the_json(invoke, model, rules):
    ran = invoke("generate", model, "Once", *SHORT, "--plugin", rules, "-o", "fail_at=3", "--json")
    record = json.loads(ran.stdout)

    assert 1 == ran.exit_code
    assert "error" == record["completions"][0]["finish_reason"]
    assert 3 == len(record["completions"][0]["tokens"])
    assert "no more of this" in record["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["Once", "-o", "temprature=1"],
            "there is no option temprature: did you mean temperature?",
        ),
        (["Once", "-o", "top_p=2"], "top_p should be less than or equal to 1, got 2"),
        (["Once", "-o", "top_k=many"], "top_k should be a valid integer, got 'many'"),
        (["Once", "-o", "top_k"], "-o top_k: expected name=value"),
        (["Once", "--seed", "1", "-o", "seed=1"], "seed is given twice: "),
        (["Once", "--strategy", "beem"], "there is no strategy 'beem': did you mean beam?"),
        (["Once", "-o", "prompt=x"], "there is no option prompt: "),
        (["Once", "-o", "stop_token_ids=999"], "stop_token_ids names token 999: "),
        (["Once", "--dtype", "int3"], "--dtype int3: expected auto, "),
        (["Once", "--device", "cuda:99"], "--device cuda:99: expected one of "),
        (["Once", "--file", "prompts.txt"], "a prompt was given as an argument and with --file"),
        (["--file", "no/such.txt"], "no/such.txt: No such file or directory"),
        (["--file", "."], ".: Is a directory"),
        ([""], "prompt 0 is empty: "),
        ([], "prompt 0 is empty: "),
        (["--lines"], "there is no prompt: "),
        (["Once", "--max-new-tokens", "900"], "prompt 0 has 1 tokens and may grow by 900, "),
        (["Once " * 300], "but the window is 256: shorten it"),
        (["Once", "--plugin", "no/such.py"], "--plugin no/such.py: expected a Python file"),
        (["Once", "--temperature", "warm"], "Invalid value for '--temperature': "),
        (["Once", "--unknown"], "No such option: --unknown"),
        (["Once", "--temprature", "2"], "No such option: --temprature"),
        (["Once", "--num-beams", "4"], "an option and no flag: write -o num_beams=4"),
        (["Once", "--stop=The end"], "--stop is an option and no flag: write -o 'stop=The end'"),
        (["Once", "--stop", "--json"], "write -o stop=…"),
        (["Once", "--beam.num-beams", "4"], "write -o beam.num_beams=4"),
        (["Once", "--max-tokens", "4"], "there is no --max-tokens: max_new_tokens counts new"),
        (["Once", "--beam-size", "4"], "(--strategy, -o num_beams=)"),
        (["Once", "--load-in-8bit"], "(--quantization)"),
    ],
)
def test_mistakes_are_one_line_and_no_traceback(invoke, model, arguments, message):
    ran = invoke("generate", model, *arguments)

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert ran.stderr.startswith("error: ")
    assert message in ran.stderr
    assert 1 == ran.stderr.count("\n")


@pytest.mark.parametrize("name", ["./nowhere", "nobody/nothing"])
def test_a_missing_model_is_an_error(invoke, name):
    ran = invoke("generate", name, "Once", "--offline")

    assert 2 == ran.exit_code
    assert ran.stderr.startswith(f"error: {name}: not found: ")


def test_options_are_checked_before_the_model_is_looked_for(invoke):
    assert "there is no option bad" in invoke("generate", "./nowhere", "x", "-o", "bad=1").stderr


def test_options_are_composed_once(invoke, model, tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(LOUD)
    ran = invoke(
        "generate", str(model), "Once", *SHORT, "-q", "--plugin", str(plugin), "-o", "volume=11"
    )

    assert "volume 11\n" == ran.stderr


def test_a_prompt_that_is_no_text_is_an_error(invoke, model):
    ran = invoke("generate", model, stdin=b"Once \xff")

    assert "error: standard input is not UTF-8 text: byte 0xff at 5\n" == ran.stderr


def test_a_plugin_file_that_fails_is_named(invoke, model, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import nothing_like_this")

    ran = invoke("generate", model, "Once", "--plugin", str(file))

    reason = "ModuleNotFoundError: No module named 'nothing_like_this'"
    assert f"error: --plugin {file} cannot be imported: {reason}\n" == ran.stderr
    assert 2 == ran.exit_code


def test_interrupting_while_the_model_is_loaded_is_quiet(invoke, model, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gpt2sdk.generator.generator.load", interrupted)

    ran = invoke("generate", model, "Once")

    assert (130, "", "cancelled\n") == (ran.exit_code, ran.stdout, ran.stderr)


def test_log_probabilities_that_text_does_not_show_are_said_to_be_in_the_json(invoke, model):
    call = ("generate", model, "Once", "--max-new-tokens", "2", "-o", "logprobs=2")
    note = "note: log-probabilities are recorded, and --json prints them\n"

    assert note in invoke(*call).stderr
    assert "" == invoke(*call, "--quiet").stderr
    as_json = invoke(*call, "--json")
    assert "" == as_json.stderr
    assert 2 == len(json.loads(as_json.stdout)["completions"][0]["top_logprobs"])
