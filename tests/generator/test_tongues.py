"""Generating with tokenizers of every kind: bos once, whole texts, stops, healing, grammars."""

import json
import re

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from gpt2sdk import Generator, OptionError
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk.tokenizer.tokenizer import Tokenizer

KINDS = ["llama", "unigram", "word-piece"]
TALES = [
    "Once upon a time there was a little fox who lived under the roots of an old oak.",
    "The fox was not afraid of the wolf, and the wolf was not fond of the fox.",
    "Then came the owl, naïve and très élégante, and asked the fox to go to the sea.",
]
TEMPLATE = (
    "{{ bos_token }}{% for each in messages %}[{{ each.role }}] {{ each.content | trim }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def llama():
    hexes = [f"<0x{byte:02X}>" for byte in range(256)]
    library = Library(models.BPE(byte_fallback=True, unk_token="<unk>"))  # noqa: S106
    library.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", *hexes],
        max_token_length=9,
        show_progress=False,
    )
    library.train_from_iterator((f" {each}" for tale in TALES for each in tale.split()), trainer)
    written = json.loads(library.to_str())
    written["added_tokens"] = written["added_tokens"][:3]
    return Library.from_str(json.dumps(written))


def unigram():
    library = Library(models.Unigram())
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<unk>", "<s>", "</s>"],
        unk_token="<unk>",  # noqa: S106
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    return library


def word_piece():
    library = Library(models.WordPiece(unk_token="<unk>"))  # noqa: S106
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(cleanup=True)
    trainer = trainers.WordPieceTrainer(
        vocab_size=150, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    library.train_from_iterator(TALES, trainer)
    return library


MAKE = {"llama": llama, "unigram": unigram, "word-piece": word_piece}


@pytest.fixture(scope="module")
def generators(tmp_path_factory):
    """A random GPT-2 for each tokenizer, with more rows than that has tokens."""
    found = {}
    for kind, make in MAKE.items():
        folder = tmp_path_factory.mktemp(kind)
        library = make()
        library.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
        library.save(str(folder / "tokenizer.json"))
        names = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE}
        (folder / "tokenizer_config.json").write_text(json.dumps(names))
        tokenizer = Tokenizer.from_folder(folder)
        config = GPT2Config(
            vocab_size=tokenizer.vocab_size + 7,
            n_positions=128,
            n_embd=32,
            n_layer=2,
            n_head=2,
            initializer_range=0.3,
        )
        found[kind] = Generator(GPT2(config, seed=1).eval(), tokenizer)
    return found


def user(content):
    return [{"role": "user", "content": content}]


def fed(generator, prompt):
    """Return the tokens of a prompt as rows have them."""
    seen = []

    def look(logits, rows):
        seen.append(rows.records[0].prompt.tokens)
        return logits

    generator.generate(prompt, processors=[look], max_new_tokens=1, seed=1)
    return seen[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bos_token_is_there_once(generators, kind):
    generator = generators[kind]
    tokens = generator.tokenizer.encode("the fox")
    chat = generator.chat_prompt(user("the <s> fox"))

    assert (1, *tokens) == fed(generator, "the fox") == fed(generator, [1, *tokens])
    assert tuple(tokens) == fed(generator, tokens)
    assert tuple(chat) == fed(generator, chat)
    assert [1] == [token for token in chat if token == 1] == chat[:1]
    assert {2} == generator.eos_token_ids


@pytest.mark.parametrize("kind", KINDS)
def test_deltas_are_the_text_and_the_text_is_what_decoding_adds(generators, kind):
    generator = generators[kind]
    options = {"max_new_tokens": 30, "temperature": 1.5, "eos_token_id": [], "seed": 3}
    for prompt in ("the fox", "the owl, na", "The"):
        stream = generator.stream(prompt, num_return_sequences=3, **options)
        deltas = list(stream)
        for one in stream.result.completions:
            joined = "".join(each.text for each in deltas if each.sample_index == one.sample_index)
            tokens = generator.tokenizer.encode(prompt)
            silent = {"skip_special_tokens": True}
            whole = generator.tokenizer.decode([*tokens, *one.tokens], **silent)
            before = generator.tokenizer.decode(tokens, **silent)

            assert one.text == joined
            assert whole == before + joined


@pytest.mark.parametrize("kind", KINDS)
def test_rows_beyond_the_tokenizer_are_silent(generators, kind):
    generator = generators[kind]
    size = generator.tokenizer.vocab_size
    bias = dict.fromkeys(range(size, size + 7), 1000.0)
    (one,) = generator.generate("the fox", logit_bias=bias, max_new_tokens=4, seed=1).completions

    assert min(one.tokens) >= size
    assert "" == one.text
    assert "the fox" == generator.tokenizer.decode([*generator.tokenizer.encode("the fox"), size])


@pytest.mark.parametrize("kind", KINDS)
def test_stop_strings_end_a_text_wherever_tokens_begin(generators, kind):
    generator = generators[kind]
    how = {"max_new_tokens": 24, "strategy": "greedy", "eos_token_id": []}
    text = generator.generate("the fox", **how).text
    found = 0
    for at in range(1, len(text) - 4):
        stop = text[at : at + 4]
        stopped = generator.generate("the fox", stop=stop, **how)
        found += stopped.completions[0].finish_reason == "stop_string"

        assert text[: text.index(stop)] == stopped.text

    assert found > 3


@pytest.mark.parametrize("kind", ["llama", "unigram"])
def test_texts_of_options_stand_behind_others(generators, kind):
    generator = generators[kind]
    for text in ("es and wolf", " and the wolf"):
        replayed = generator.generate("the fox", strategy="replay", continuation=text)

        assert text == replayed.text

    biased = generator.generate("the fox", sequence_bias={"s": 100.0}, max_new_tokens=3, seed=1)
    banned = {"bad_words": ["s"], "sequence_bias": {"s": 100.0}}

    assert "sss" == biased.text
    assert "s" not in generator.generate("the fox", **banned, max_new_tokens=9, seed=1).text[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_healed_prompts_go_on_within_a_word(generators, kind):
    generator = generators[kind]
    tokenizer = generator.tokenizer
    prompt = "The fox was on"
    result = generator.generate(
        prompt, token_healing=True, max_new_tokens=8, num_return_sequences=4, seed=5
    )
    tokens = tokenizer.encode(prompt)
    for one in result.completions:
        starts = [
            cut
            for cut in range(1, len(tokens) + 1)
            if tokenizer.decode([*tokens[:cut], *one.tokens], skip_special_tokens=True)
            == prompt + one.text
        ]

        assert starts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", [" (fox|owl|wolf) (was|came)", "( the| a)+ (fox|owl)"])
def test_grammars_hold(generators, kind, pattern):
    result = generators[kind].generate(
        "Then", regex=pattern, max_new_tokens=40, num_return_sequences=3, seed=2
    )
    for one in result.completions:
        if one.finish_reason == "constraint_complete":
            assert re.fullmatch(pattern, one.text)

    assert any(one.finish_reason == "constraint_complete" for one in result.completions)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_is_its_prompt_continued(generators, kind):
    generator = generators[kind]
    how = {"max_new_tokens": 9, "seed": 4}
    chats = [user("the fox"), [*user("the owl"), {"role": "assistant", "content": "was"}]]
    one = generator.chat(chats[0], **how)
    both = generator.chat(chats, **how)
    deltas = list(generator.stream(generator.chat_prompt(chats[0]), **how))

    begun = generator.chat(chats[1], continue_final_message=True, **how)
    prompt = generator.chat_prompt(chats[1], continue_final_message=True, tokenize=False)

    assert prompt.endswith("[assistant] was")
    assert (
        generator.generate(generator.chat_prompt(chats[1], continue_final_message=True), **how).text
        == begun.text
    )
    assert generator.generate(generator.chat_prompt(chats[0]), **how).text == one.text
    assert one.text == "".join(each.text for each in deltas)
    assert one.text == both.texts[0]
    assert 2 == len(both.texts)
    text = generator.chat_prompt(chats[0], tokenize=False)
    assert "<s>[user] the fox</s>[assistant]" == text
    assert text == generator.chat_prompt(chats[0], tokenize=False, chat_template=TEMPLATE)
    assert not generator.chat_prompt(
        chats[0], tokenize=False, add_generation_prompt=False
    ).endswith("[assistant]")


def test_what_is_wrong_with_a_chat_is_said_before_anything_runs(generators):
    generator = generators["llama"]

    with pytest.raises(OptionError, match="there are no messages"):
        generator.chat([])
    with pytest.raises(OptionError, match="temprature"):
        generator.chat(user("the fox"), temprature=1)
    with pytest.raises(OptionError, match=r"gen.chat\(messages\) answers a chat"):
        generator.generate(messages=user("the fox"))


def test_a_tokenizer_of_somebody_else_has_no_templates():
    generator = Generator(TableModel(), Letters())

    with pytest.raises(OptionError, match="the tokenizer is a Letters: expected a gpt2sdk"):
        generator.chat(user("the fox"))
