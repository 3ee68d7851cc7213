#!/usr/bin/env bash
# tokenizers 0.23.3: tokenizers that were given one pre-tokenizer share it, and what is then set on
# the pre-tokenizer of one changes how the others cut text.
#
# `tokenizer.pre_tokenizer = p` keeps p itself, not a copy, and `tokenizer.pre_tokenizer` hands it
# out again. So a program that keeps a byte-level pre-tokenizer as a constant, and obeys a config
# that asks for `add_prefix_space` by setting that on one tokenizer, gives the prefix space to every
# tokenizer it made before and after. The constant says so itself, and nothing warns. A copy by
# pickle, or by JSON, is apart.
#
# Seen:
#   before: ['t', 'h', 'e']
#   after it was set on another tokenizer: ['Ġ', 't', 'h', 'e']
#   the constant: add_prefix_space=True
#   with a copy: ['t', 'h', 'e']
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install -qq tokenizers==0.23.3
} || { echo "not tried: the package could not be installed" >&2; exit 2; }

cd "$folder"
PYTHONIOENCODING=utf-8 "$folder/venv/bin/python" - <<'PYTHON'
import pickle
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

print(f"tokenizers {tokenizers.__version__}")
print("Tokenizers that were given one pre-tokenizer share what is set on it later.")

vocab = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def byte_level(pre_tokenizer):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


def setting_another(pre_tokenizer, copy):
    one, other = byte_level(pre_tokenizer), byte_level(copy(pre_tokenizer))
    before = one.encode("the").tokens
    spaced = other.pre_tokenizer
    spaced.add_prefix_space = True
    other.pre_tokenizer = spaced
    return before, one.encode("the").tokens


PLAIN, SPACED = ["t", "h", "e"], ["Ġ", "t", "h", "e"]
constant = pre_tokenizers.ByteLevel(add_prefix_space=False)
before, after = setting_another(constant, lambda each: each)
print(f"before: {before}")
print(f"after it was set on another tokenizer: {after}")
print(f"the constant: add_prefix_space={constant.add_prefix_space}")
apart = pre_tokenizers.ByteLevel(add_prefix_space=False)
_, copied = setting_another(apart, lambda each: pickle.loads(pickle.dumps(each)))
print(f"with a copy: {copied}")

if (before, after, constant.add_prefix_space, copied) != (PLAIN, SPACED, True, PLAIN):
    sys.exit("changed: tokenizers no longer share a pre-tokenizer as described")
print("as described")
PYTHON
