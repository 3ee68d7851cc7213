"""One small tokenizer of each kind, trained on the spot, and chat templates as models have them."""

import json

import pytest
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Library

from gpt2sdk.tokenizer.tokenizer import Tokenizer

TALES = [
    "Once upon a time there was a little fox who lived under the roots of an old oak.",
    "The fox was not afraid of the wolf, and the wolf was not fond of the fox.",
    "Every evening the miller's daughter carried a lantern over the bridge of stones.",
    "“Who goes there?” asked the owl. “It is only me,” said the hedgehog, “and my three sons.”",
    "Då kom en gås, naïve and très élégante, and asked the old king for a café by the sea.",
    "And they lived in the mill, the fox, the owl and the miller's daughter, until the winter.",
]
BLANK = "▁"
SENTENCE_PIECES = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level():
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    return library


def _fallback_decoder(strip):
    parts = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*parts, *([decoders.Strip(" ", 1, 0)] if strip else [])])


def _with_bos(library, bos="<s>"):
    token = library.token_to_id(bos)
    library.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, token)]
    )
    return library


def llama(*, prepend=True):
    """Llama 2's and Mistral's kind: BPE with byte fallback, blanks by a normalizer."""
    library = Library(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))  # noqa: S106
    parts = [normalizers.Prepend(BLANK)] if prepend else []
    library.normalizer = normalizers.Sequence([*parts, normalizers.Replace(" ", BLANK)])
    library.decoder = _fallback_decoder(strip=prepend)
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=[*SENTENCE_PIECES, *BYTES],
        max_token_length=12,
        show_progress=False,
    )
    library.train_from_iterator((word for tale in TALES for word in _words(tale)), trainer)
    return _with_bos(_only_special(library, SENTENCE_PIECES))


def _words(tale):
    """Cut before blanks, as pieces are to be."""
    return [f" {word}" for word in tale.split(" ")]


def _only_special(library, special):
    """Byte pieces are no special tokens: they were only to be in the vocabulary."""
    written = json.loads(library.to_str())
    kept = [each for each in written["added_tokens"] if each["content"] in special]
    return Library.from_str(json.dumps(written | {"added_tokens": kept}))


def metaspace_llama():
    """The same as transformers writes it today: Metaspace before the first word of a text."""
    library = llama()
    library.normalizer = normalizers.Sequence([])
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return library


def gemma():
    """Gemma's kind: no blank before a text, none taken away."""
    return llama(prepend=False)


def unigram(*, byte_fallback=False):
    library = Library(models.Unigram())
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    special = [*SENTENCE_PIECES, *(BYTES if byte_fallback else [])]
    trainer = trainers.UnigramTrainer(
        vocab_size=160 + len(special),
        special_tokens=special,
        unk_token="<unk>",  # noqa: S106
        initial_alphabet=list("<>/|[]_x01234567890ABCDEF"),
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    library = _only_special(library, SENTENCE_PIECES)
    if byte_fallback:
        written = json.loads(library.to_str())
        written["model"]["byte_fallback"] = True
        library = Library.from_str(json.dumps(written))
        library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return _with_bos(library)


def word_piece(*, cleanup=True):
    library = Library(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(cleanup=cleanup)
    trainer = trainers.WordPieceTrainer(
        vocab_size=200,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    return library


KINDS = {
    "byte-level": byte_level,
    "llama": llama,
    "metaspace-llama": metaspace_llama,
    "gemma": gemma,
    "unigram": unigram,
    "unigram-bytes": lambda: unigram(byte_fallback=True),
    "word-piece": word_piece,
    "word-piece-plain": lambda: word_piece(cleanup=False),
}


NAMES = {
    "byte-level": {"bos_token": None, "eos_token": "<|im_end|>"},
    "word-piece": {"eos_token": "[SEP]"},
    "word-piece-plain": {"eos_token": "[SEP]"},
}
"""What `tokenizer_config.json` calls special tokens, where it is not SentencePiece's names."""


def write_tongue(kind, folder, **settings):
    """Write a tokenizer as models have it."""
    KINDS[kind]().save(str(folder / "tokenizer.json"))
    usual = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    named = NAMES.get(kind, usual) | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    return folder


# Chat templates in the shapes that models have, written anew and short.
CHATML = """{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
"""Qwen's; an answer's thoughts are cut off where there are any."""

LLAMA_2 = """{% if messages[0]['role'] == 'system' %}
{% set turns = messages[1:] %}{% set system = messages[0]['content'] %}
{% else %}{% set turns = messages %}{% set system = false %}{% endif %}
{% for message in turns %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if loop.index0 == 0 and system %}
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' -}}
{% else %}
{{ ' '  + content.strip() + ' ' + eos_token -}}
{% endif %}
{% endfor %}"""

LLAMA_3 = """{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
{{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

MISTRAL = """{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {%- if loop.last and tools %}{{- '[AVAILABLE_TOOLS] ' + tools | tojson }}
        {{- '[/AVAILABLE_TOOLS]' }}{%- endif %}
        {{- '[INST] ' + message['content'] + '[/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + message['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}"""

PARTS = """{% for message in messages %}
{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""
"""Phi 3's first one: a special token is put together of a role."""

SPECIAL_TOKENS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama-2": (),
    "llama-3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "mistral": ("[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    "parts": ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
}
CHAT_TEMPLATES = {
    "chatml": CHATML,
    "llama-2": LLAMA_2,
    "llama-3": LLAMA_3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "parts": PARTS,
}
SPEAKERS = {
    "chatml": "byte-level",
    "llama-2": "llama",
    "llama-3": "byte-level",
    "gemma": "gemma",
    "mistral": "metaspace-llama",
    "parts": "llama",
}
"""The kind of tokenizer that goes with each."""


@pytest.fixture(scope="session")
def speakers(tmp_path_factory):
    """Folders of tokenizers, by the chat template that is in them."""
    folders = {}
    for name, template in CHAT_TEMPLATES.items():
        folder = tmp_path_factory.mktemp(name)
        settings = {"chat_template": template, "bos_token": "<s>", "eos_token": "</s>"}
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        write_tongue(SPEAKERS[name], folder, **settings)
        library = Library.from_file(str(folder / "tokenizer.json"))
        special = [*SPECIAL_TOKENS[name], "<s>", "</s>"]
        library.add_special_tokens([AddedToken(text, normalized=False) for text in special])
        library.save(str(folder / "tokenizer.json"))
        folders[name] = folder
    return folders


@pytest.fixture(scope="session")
def tongues(tmp_path_factory):
    """The tokenizer of each kind, read from its folder."""
    return {
        kind: Tokenizer.from_folder(write_tongue(kind, tmp_path_factory.mktemp(kind)))
        for kind in KINDS
    }
