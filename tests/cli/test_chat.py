"""`gpt2sdk chat`, and `gpt2sdk generate --messages`."""

import json
import shutil
from pathlib import Path

import pytest

from gpt2sdk import Generator

TEMPLATE = (
    "{% for each in messages %}[{{ each.role }}] {{ each.content }}{{ eos_token }}{% endfor %}"
    "[assistant]"
)
SHORT = ("--max-new-tokens", "6", "--seed", "3", "-o", "top_k=3", "-o", "suppress_tokens=[277]")
HOW = {"max_new_tokens": 6, "seed": 3, "top_k": 3, "suppress_tokens": [277]}
QUIET = (*SHORT, "--quiet")


@pytest.fixture(scope="module")
def speaker(model, tmp_path_factory):
    """Return the folder of a tiny model with a chat template."""
    folder = tmp_path_factory.mktemp("speakers") / "tiny"
    shutil.copytree(model, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return str(folder)


@pytest.fixture(scope="module")
def answers(speaker):
    """Return what the library answers to the last of some turns, user and assistant by turns."""
    generator = Generator.from_pretrained(speaker)

    def answer(*turns, system=None):
        told = [] if system is None else [{"role": "system", "content": system}]
        roles = ("user", "assistant") * len(turns)
        said = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]
        return generator.chat([*told, *said], **HOW).text

    return answer


def written(tmp_path, value):
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(value))
    return str(file)


def user(content):
    return [{"role": "user", "content": content}]


def test_a_chat_goes_on_from_its_answers(invoke, speaker, answers):
    ran = invoke("chat", speaker, *QUIET, stdin="the fox\nthe <|endoftext|> owl\n")
    first = answers("the fox")
    second = answers("the fox", first, "the <|endoftext|> owl")

    assert 0 == ran.exit_code
    assert f"{first}\n{second}\n" == ran.stdout
    assert "" == ran.stderr


def test_a_chat_begins_anew_and_keeps_what_the_model_was_told(invoke, speaker, answers):
    ran = invoke("chat", speaker, *QUIET, "--system", "on", stdin="the fox\n\n/reset\r\nthe owl")

    assert f"{answers('the fox', system='on')}\n{answers('the owl', system='on')}\n" == ran.stdout
    assert "the chat begins anew" in ran.stderr


def test_a_chat_may_have_another_template(invoke, speaker, tmp_path):
    file = tmp_path / "other.jinja"
    file.write_text("{{ messages[-1].content }}")
    ran = invoke("chat", speaker, *QUIET, "--chat-template", str(file), stdin="the fox\n")
    expected = Generator.from_pretrained(speaker).generate("the fox", **HOW).text

    assert f"{expected}\n" == ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "2"), "there is no -n: num_return_sequences is"),
        (("--top-p", "0.9"), "--top-p is an option and no flag: write -o top_p=0.9"),
        (("--messages", "a.json"), "there is no --messages"),
        (("-o", "num_return_sequences=2"), "expected 1: a chat goes on from one answer"),
        (("-o", "temprature=1"), "temprature"),
        (("--chat-template", "rag"), "chat_template is 'rag', expected a template's text or name"),
        (("--max-new-tokens", "400"), "window"),
    ],
)
def test_what_is_wrong_with_a_chat_is_one_line(invoke, speaker, arguments, message):
    ran = invoke("chat", speaker, *arguments, stdin="the fox\n")

    assert 2 == ran.exit_code
    assert message in ran.stderr
    assert "" == ran.stdout


def test_without_a_template_it_is_said_before_anything_is_read(invoke, model):
    ran = invoke("chat", model, stdin="the fox\n")

    assert 2 == ran.exit_code
    assert "the tokenizer has no chat template: give --chat-template" in ran.stderr


def test_messages_of_a_file_are_answered(invoke, speaker, answers, tmp_path):
    one = written(tmp_path, user("the fox"))
    ran = invoke("generate", speaker, "--messages", one, *QUIET)
    piped = invoke("generate", speaker, "--messages", "-", *QUIET, stdin=Path(one).read_text())
    several = written(tmp_path, [user("the fox"), user("the owl")])
    both = json.loads(invoke("generate", speaker, "--messages", several, *SHORT, "--json").stdout)

    assert f"{answers('the fox')}\n" == ran.stdout == piped.stdout
    sent = written(tmp_path, {"messages": user("the fox")})
    assert ran.stdout == invoke("generate", speaker, "--messages", sent, *QUIET).stdout
    assert answers("the fox") == both["completions"][0]["text"]
    assert "[user] the owl<|endoftext|>[assistant]" == both["prompts"][1]


def test_what_json_printed_of_a_chat_answers_it_again(invoke, speaker, tmp_path):
    said = user("the <|endoftext|> fox")
    arguments = ("--max-new-tokens", "5", "--json")
    first = json.loads(
        invoke("generate", speaker, "--messages", written(tmp_path, said), *arguments).stdout
    )
    record = tmp_path / "record.json"
    record.write_text(json.dumps(first))
    again = json.loads(invoke("generate", speaker, "--config", str(record), "--json").stdout)
    other = json.loads(invoke("generate", speaker, "a", "--config", str(record), "--json").stdout)

    assert [said] == first["messages"] == again["messages"]
    assert first["completions"] == again["completions"]
    assert ["a"] == other["prompts"]
    assert "messages" not in other


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", 'expected [{"role": "user"'),
        ('[{"content": "a"}]', 'expected [{"role": "user"'),
        ('{"prompt": "a"}', 'expected [{"role": "user"'),
        ('[[], [{"role": "user"}]]', 'expected [{"role": "user"'),
    ],
)
def test_files_without_messages_are_refused(invoke, speaker, tmp_path, content, message):
    file = tmp_path / "messages.json"
    file.write_text(content)
    ran = invoke("generate", speaker, "--messages", str(file))

    assert 2 == ran.exit_code
    assert f"--messages {file}: {message}" in ran.stderr


def test_messages_are_the_whole_prompt(invoke, speaker, tmp_path):
    file = written(tmp_path, user("the fox"))
    beside = invoke("generate", speaker, "more", "--messages", file)
    alone = invoke("generate", speaker, "more", "--chat-template", "default")
    broken = tmp_path / "record.json"
    broken.write_text(json.dumps({"record": {}, "messages": [[]]}))
    wrong = invoke("generate", speaker, "--config", str(broken))

    assert "--messages has the whole prompt" in beside.stderr
    assert "--chat-template writes chats: give them with --messages" in alone.stderr
    assert [2, 2, 2] == [each.exit_code for each in (beside, alone, wrong)]
