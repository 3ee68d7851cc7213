#!/usr/bin/env bash
# tokenizers 0.23.3 (and transformers 5.24.0): added tokens with accents are garbled when decoded.
#
# A byte-level vocabulary writes every byte as a letter: those of U+00A1 to U+00AC and U+00AE to
# U+0143 stand for bytes, so that a space is written U+0120. An added token such as `café` is kept
# as plain text, but the byte-level decoder reads its `é` as the byte E9 all the same, which alone
# is no UTF-8: `café` comes back as `caf` and a replacement character. The same text is right where
# no token was added, and all other letters from U+0080 to U+017F are right within an added token.
#
# Seen:
#   without the added token: 'un café noir'
#   tokenizers: ['u', 'n', 'Ġ', 'café', 'Ġ', 'n', 'o', 'i', 'r'] is decoded as 'un caf\ufffd noir'
#   GPT2TokenizerFast: decoded as 'un caf\ufffd noir'
#   garbled letters of U+0080 to U+017F: 162, from U+00A1 to U+0143, without U+00AD
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq tokenizers==0.23.3 transformers==5.24.0
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error PYTHONIOENCODING=utf-8 \
    "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2TokenizerFast

print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}")
print("The byte-level decoder reads the letters of an added token as bytes: café is garbled.")

TEXT = "un café noir"
GARBLED = "un caf\ufffd noir"
vocab = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def byte_level(*added):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(added))
    return tokenizer


def there_and_back(tokenizer, text):
    return tokenizer.decode(tokenizer.encode(text).ids)


plain = there_and_back(byte_level(), TEXT)
print(f"without the added token: {plain!r}")
found = there_and_back(byte_level("café"), TEXT)
print(f"tokenizers: {byte_level('café').encode(TEXT).tokens} is decoded as {found!a}")
gpt2 = GPT2TokenizerFast(vocab=vocab | {"<|endoftext|>": len(vocab)}, merges=[])
gpt2.add_tokens(["café"])
fast = gpt2.decode(gpt2(TEXT).input_ids)
print(f"GPT2TokenizerFast: decoded as {fast!a}")
wrong = [
    letter
    for letter in range(0x80, 0x180)
    if there_and_back(byte_level(f"x{chr(letter)}y"), f"a x{chr(letter)}y b")
    != f"a x{chr(letter)}y b"
]
print(f"garbled letters of U+0080 to U+017F: {len(wrong)}", end="")
print(f", from U+{min(wrong):04X} to U+{max(wrong):04X}, without U+00AD" if wrong else "")

letters = [letter for letter in range(0xA1, 0x144) if letter != 0xAD]
if (plain, found, fast, wrong) != (TEXT, GARBLED, GARBLED, letters):
    sys.exit("changed: other added tokens than described are garbled, or none")
print("as described")
PYTHON
