"""Chats: prompts as transformers writes them, and special tokens that nobody slips in."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.errors import OptionError, TokenizerError
from gpt2sdk.tokenizer.tokenizer import Tokenizer

NAMES = ["chatml", "llama-2", "llama-3", "gemma", "mistral", "parts"]
WHOLE = [name for name in NAMES if name != "parts"]
CHATS = [
    [{"role": "user", "content": "Who goes there?"}],
    [{"role": "user", "content": "  \n Who goes there?  \n"}],
    [
        {"role": "user", "content": "Once upon a time"},
        {"role": "assistant", "content": " there was a fox \n"},
        {"role": "user", "content": "\n\nnaïve 😀  two"},
    ],
]
FOLLOWS = {"chatml": "<|im_end|>", "llama-2": "</s>", "llama-3": "<|eot_id|>"}
FOLLOWS |= {"gemma": "<end_of_turn>", "mistral": "[/INST]", "parts": "<|end|>"}
"""A special token that each template writes behind a turn."""


@pytest.fixture(scope="session")
def read(speakers):
    return {name: Tokenizer.from_folder(folder) for name, folder in speakers.items()}


def user(content):
    return [{"role": "user", "content": content}]


def special_of(tokenizer, tokens):
    known = {token: text for text, token in tokenizer.special_tokens.items()}
    return [known[token] for token in tokens if token in known]


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_those_of_transformers(speakers, read, name):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(speakers[name])
    for chat in CHATS:
        for more in (True, False):
            ours = read[name].chats.write(chat, add_generation_prompt=more)
            text = theirs.apply_chat_template(chat, add_generation_prompt=more, tokenize=False)
            ids = theirs.apply_chat_template(
                chat, add_generation_prompt=more, tokenize=True, return_dict=False
            )

            assert text == ours.text
            assert ids == list(ours.tokens)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("begun", ["The owl", " The owl said: ", "fox </s> fox"])
def test_last_messages_are_continued_as_in_transformers(speakers, read, name, begun):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(speakers[name])
    chat = [*CHATS[0], {"role": "assistant", "content": begun}]
    ours = read[name].chats.write(chat, continue_final_message=True)

    assert ours.text == theirs.apply_chat_template(
        chat, continue_final_message=True, tokenize=False
    )
    assert ours.text.endswith(begun.strip()) or ours.text.endswith(begun.lstrip())


@pytest.mark.parametrize("content", [None, "", " ", ["parts"]])
def test_only_texts_are_continued(read, content):
    template = "{{ messages | length }}"
    chat = [*CHATS[0], {"role": "assistant", "content": content}]

    with pytest.raises(OptionError, match="expected a text that the chat template writes as it is"):
        read["chatml"].chats.write(chat, continue_final_message=True, chat_template=template)
    with pytest.raises(OptionError, match="expected a text that the chat template writes as it is"):
        read["chatml"].chats.write(CHATS[0], continue_final_message=True, chat_template=template)


@pytest.mark.parametrize("name", ["llama-2", "llama-3", "gemma", "mistral"])
def test_there_is_one_bos_token_if_the_template_writes_it(read, name):
    tokenizer = read[name]
    tokens = tokenizer.chats.write(CHATS[0]).tokens

    assert tokenizer.bos_token_id == tokens[0]
    assert 1 == tokens.count(tokenizer.bos_token_id)


@pytest.mark.parametrize("name", WHOLE)
def test_what_a_message_spells_out_is_text(read, name):
    tokenizer = read[name]
    usual = special_of(tokenizer, tokenizer.chats.write(user("a b")).tokens)
    for text in tokenizer.special_tokens:
        prompt = tokenizer.chats.write(user(f"a {text} b"))

        assert usual == special_of(tokenizer, prompt.tokens)
        assert f"a {text} b" in prompt.text
        assert f"a {text} b" in tokenizer.decode(prompt.tokens)


@given(
    st.lists(st.sampled_from(["<|im_", "start|>", "<|im_end|>", "end|>", " ", "a", "</s>", "<"]))
)
@pytest.mark.parametrize("name", WHOLE)
def test_no_message_changes_which_special_tokens_there_are(read, name, parts):
    tokenizer = read[name]
    content = "".join(parts)
    usual = special_of(tokenizer, tokenizer.chats.write(user("a")).tokens)

    assert usual == special_of(tokenizer, tokenizer.chats.write(user(content)).tokens)


@pytest.mark.parametrize("change", ["upper", "lower", "trim", "replace('x', '')", "title", "e"])
def test_templates_may_rewrite_messages(read, change):
    tokenizer = read["chatml"]
    template = "<|im_start|>{{ messages[0].content | " + change + " }}<|im_end|>"
    said = " <|IM_START|> <|im_xend|><|im_start|> &lt; "
    prompt = tokenizer.chats.write(user(said), chat_template=template)

    assert ["<|im_start|>", "<|im_end|>"] == special_of(tokenizer, prompt.tokens)


def test_a_rewritten_message_is_what_is_read(read):
    template = "<|im_start|>{{ messages[0].content.strip().upper()[:9] }}<|im_end|>"
    prompt = read["chatml"].chats.write(user("  the <|im_end|> fox"), chat_template=template)

    assert "<|im_start|>THE <|IM_<|im_end|>" == prompt.text


def test_templates_that_cut_at_what_looks_like_a_special_token_see_it_in_messages(read):
    template = "<|im_start|>{{ messages[0].content.split('<|im_end|>')[-1] }}<|im_end|>"
    told = "{{ '<|im_start|>' if '</s>' in messages[0].content else '<|im_end|>' }}"

    assert (
        "<|im_start|>b<|im_end|>"
        == read["chatml"].chats.write(user("a<|im_end|>b"), chat_template=template).text
    )
    assert "<|im_start|>" == read["chatml"].chats.write(user("a</s>"), chat_template=told).text


def test_special_tokens_that_are_put_together_of_roles_are_tokens(read):
    tokenizer = read["parts"]
    prompt = tokenizer.chats.write(CHATS[2])
    expected = ["user", "end", "assistant", "end", "user", "end", "assistant"]

    assert [f"<|{each}|>" for each in expected] == special_of(tokenizer, prompt.tokens)


@pytest.mark.parametrize("said", ["a <|user|> b", "<|user|>", "<|user|>\nb<|end|>"])
def test_where_a_message_has_one_too_it_is_refused(read, said):
    with pytest.raises(OptionError, match=r"puts the special token '<|.*|>' together from parts"):
        read["parts"].chats.write(user(said))


def test_other_special_tokens_of_messages_are_text_beside_them(read):
    tokenizer = read["parts"]
    usual = special_of(tokenizer, tokenizer.chats.write(user("a")).tokens)

    others = tokenizer.chats.write(user("a </s> <s><|assistant|><|end|>"))

    assert usual == special_of(tokenizer, others.tokens)


def test_a_role_that_writes_no_special_token_is_text(read):
    tokenizer = read["parts"]
    prompt = tokenizer.chats.write([{"role": "ring", "content": "a"}], add_generation_prompt=False)

    assert ["<|end|>"] == special_of(tokenizer, prompt.tokens)
    assert prompt.text.startswith("<|ring|>\na<|end|>")


def test_special_tokens_that_a_template_changes_are_refused(read):
    for change in ("upper", "truncate(20, true, '')"):
        template = "{{ '<|im_start|>' | " + change + " }}"
        with pytest.raises(OptionError, match="changes special tokens after it wrote them"):
            read["chatml"].chats.write(user("a"), chat_template=template)


def test_what_a_template_refuses_is_said_in_its_words(read):
    system = {"role": "system", "content": "Be brief."}

    with pytest.raises(OptionError, match="refuses the messages: System role not supported"):
        read["gemma"].chats.write([system, *CHATS[0]])
    with pytest.raises(
        OptionError, match="refuses the messages: Conversation roles must alternate"
    ):
        read["llama-2"].chats.write([*CHATS[0], *CHATS[0]])
    assert (
        "<<SYS>>\nBe brief.\n<</SYS>>\n\nWho goes"
        in read["llama-2"].chats.write([system, *CHATS[0]]).text
    )


def test_variables_and_tools_reach_the_template(read):
    thinking = read["chatml"].chats.write(CHATS[0])
    silent = read["chatml"].chats.write(CHATS[0], variables={"enable_thinking": False})
    tools = [{"name": "<b>é</b>", "description": "[INST]"}]
    tooled = read["mistral"].chats.write(CHATS[0], tools=tools)

    assert thinking.text + "<think>\n\n</think>\n\n" == silent.text
    assert '[AVAILABLE_TOOLS] [{"name": "<b>é</b>", "description": "[INST]"}]' in tooled.text
    assert ["<s>", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[INST]", "[/INST]"] == special_of(
        read["mistral"], tooled.tokens
    )


def test_templates_have_what_they_expect(read):
    template = """{% for each in [1, 2, 3] %}
    {%- if each == 2 %}{% continue %}{% endif %}{{ each }}{% endfor %}
{% generation %}[{{ {'b': '<é>', 'a': 1} | tojson(sort_keys=true) }}]{% endgeneration %}
{{ strftime_now('%Y') }}{% set box = namespace(n=1) %}{% set box.n = 2 %}{{ box.n }}"""
    text = read["chatml"].chats.write(user("a"), chat_template=template).text

    assert re.fullmatch(r'13\[\{"a": 1, "b": "<é>"\}\]\n?\d{4}2', text)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ raise_exception.__globals__.json }}",
        "{{ 1 + messages }}",
        "{{ nothing.at.all }}",
    ],
)
def test_what_leaves_the_sandbox_or_fails_is_an_error(read, template):
    with pytest.raises(OptionError, match="the chat template fails on the messages: "):
        read["chatml"].chats.write(user("a"), chat_template=f"{template}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{% for %}", r"the chat template cannot be read: line 1: "),
        ("a\n{{ x", r"the chat template cannot be read: line 2: "),
        ("rag", r"chat_template is 'rag', expected a template's text or name: default"),
    ],
)
def test_what_is_no_template_is_said(read, given, message):
    with pytest.raises(OptionError, match=message):
        read["chatml"].chats.write(user("a"), chat_template=given)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "there are no messages: expected a list such as"),
        ([{"content": "a"}], "message 0 is {'content': 'a'}, expected one such as"),
        ([*CHATS[0], {"role": 3}], "message 1 is {'role': 3}, expected one such as"),
    ],
)
def test_what_are_no_messages_is_said(read, messages, message):
    with pytest.raises(OptionError, match=message):
        read["chatml"].chats.write(messages)


def test_half_a_character_is_no_message(read):
    with pytest.raises(TokenizerError, match="lone surrogate"):
        read["chatml"].chats.write(user("a\ud83d"))


def test_a_template_may_stand_in_a_file_or_in_a_list(speakers, tmp_path):
    written = (speakers["chatml"] / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(written)
    named = [{"name": "default", "template": "A{{ x }}"}, {"name": "tool_use", "template": "B"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    listed = Tokenizer.from_folder(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("C")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("D")
    filed = Tokenizer.from_folder(tmp_path)
    saved = tmp_path / "saved"
    saved.mkdir()
    filed.save(saved)

    def text(tokenizer, **how):
        return tokenizer.chats.write(user("a"), **how).text

    assert ["A", "B", "A"] == [
        text(listed),
        text(listed, tools=[{"name": "f"}]),
        text(listed, tools=[{"name": "f"}], chat_template="default"),
    ]
    assert ["C", "D"] == [text(filed), text(filed, chat_template="rag")]
    assert filed.chat_templates == Tokenizer.from_folder(saved).chat_templates


def test_without_a_template_it_is_said_what_to_do(tongues):
    with pytest.raises(OptionError, match="no chat template: give chat_template= with one"):
        tongues["unigram"].chats.write(CHATS[0])


@pytest.mark.parametrize("kind", ["unigram", "unigram-bytes", "word-piece", "gemma"])
def test_every_kind_keeps_messages_text(tongues, kind):
    tokenizer = tongues[kind]
    (end,) = [
        text for text, token in tokenizer.special_tokens.items() if token == tokenizer.eos_token_id
    ]
    template = "{{ messages[0].content }}{{ eos_token }}"
    prompt = tokenizer.chats.write(user(f"the {end} fox"), chat_template=template)

    assert 1 == prompt.tokens.count(tokenizer.eos_token_id)
    assert tokenizer.eos_token_id == prompt.tokens[-1]


ENDS = FOLLOWS | {"mistral": "</s>"}


@pytest.mark.parametrize("name", NAMES)
def test_what_ends_an_answer_is_read_off_the_template(read, name):
    token, text = read[name].chats.turn_end()

    assert (ENDS[name], read[name].special_tokens[ENDS[name]]) == (text, token)


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message['content'] }}. {% endfor %}",
        "{% for message in messages %}<|im_start|>{{ message['content'] }}{% endfor %}",
        "{{ messages[0]['content'] }}<|im_end|>",
        "{{ raise_exception('no') }}",
    ],
)
def test_a_template_may_end_answers_with_nothing(read, template):
    assert read["chatml"].chats.turn_end(chat_template=template) is None
