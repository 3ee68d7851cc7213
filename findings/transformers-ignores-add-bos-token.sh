#!/usr/bin/env bash
# transformers 5.24.0: next to a tokenizer.json, `add_bos_token` in tokenizer_config.json is ignored.
#
# In a folder with vocab.json and merges.txt, `add_bos_token` says whether GPT2Tokenizer begins a
# text with the bos token. `save_pretrained` then writes a tokenizer.json, whose post-processor has
# a template, and leaves `add_bos_token` out. From then on the template alone counts: writing
# `add_bos_token`, true or false, into tokenizer_config.json changes nothing, with no warning, and
# the loaded tokenizer's attribute `add_bos_token` is False even where it does begin with it.
#
# Seen (bos is 256, then the text "ab"):
#   vocab.json, add_bos_token true: [256, 64, 65]
#     saved, add_bos_token true: [256, 64, 65], attribute False
#     saved, add_bos_token false: [256, 64, 65], attribute False
#   vocab.json, add_bos_token false: [64, 65]
#     saved, add_bos_token true: [64, 65], attribute False
#     saved, add_bos_token false: [64, 65], attribute False
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq tokenizers==0.23.3 transformers==5.24.0
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
print("Where there is a tokenizer.json, add_bos_token in tokenizer_config.json is ignored.")

END = "<|endoftext|>"
vocab = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
vocab[END] = len(vocab)


def with_files(name, *, says):
    """Return a tokenizer read from vocab.json, merges.txt and tokenizer_config.json."""
    folder = Path(name)
    folder.mkdir()
    settings = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": says}
    settings |= {"bos_token": END, "eos_token": END, "unk_token": END}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return AutoTokenizer.from_pretrained(folder)


def with_settings(folder, *, says):
    """Return the tokenizer of a saved folder whose tokenizer_config.json now says this."""
    path = Path(folder, "tokenizer_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"add_bos_token": says}))
    return AutoTokenizer.from_pretrained(folder)


found, kept = [], []
for first in (True, False):
    tokenizer = with_files(f"{first}-files", says=first)
    ids = tokenizer("ab").input_ids
    print(f"vocab.json, add_bos_token {json.dumps(first)}: {ids}")
    tokenizer.save_pretrained(f"{first}-saved")
    kept.append("add_bos_token" in Path(f"{first}-saved", "tokenizer_config.json").read_text())
    for later in (True, False):
        again = with_settings(f"{first}-saved", says=later)
        found.append((first, ids, again("ab").input_ids, again.add_bos_token))
        print(f"  saved, add_bos_token {json.dumps(later)}: ", end="")
        print(f"{found[-1][2]}, attribute {found[-1][3]}")

with_bos, without = [256, 64, 65], [64, 65]
expected = [(True, with_bos, with_bos, False)] * 2 + [(False, without, without, False)] * 2
if found != expected or any(kept):
    sys.exit("changed: add_bos_token is followed or saved otherwise than described")
print("as described")
PYTHON
