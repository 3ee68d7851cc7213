#!/usr/bin/env bash
# llguidance 1.9.1: text that a grammar forces, and that no token spells by itself, is forgotten:
# the mask then allows what may come behind it.
#
# Where a grammar leaves no choice about the next bytes, llguidance cuts them into tokens, and goes
# on from what these spell. In a vocabulary of word pieces every word has its blank (" fox"), and no
# token is a blank alone. So of a forced blank nothing is left: `fox` is allowed, which no text of
# the grammar begins with, and ` fox` is not, which one does. With a token for the blank it is right.
#
# Seen:
#   allowed at the beginning of / (fox|owl)/: ['fox', 'owl']
#   with a token for the blank: [' ', ' fox', ' owl']
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install -qq llguidance==1.9.1 numpy
} || { echo "not tried: the package could not be installed" >&2; exit 2; }

cd "$folder"
PYTHONIOENCODING=utf-8 "$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

print(f"llguidance {version('llguidance')}")
print("Bytes that are forced, and that no token spells, are forgotten.")


class Words:
    def __init__(self, words):
        self.tokens = [*(word.encode() for word in words), b"<end>"]
        self.eos_token_id, self.bos_token_id = len(words), None
        self.special_token_ids = [len(words)]

    def __call__(self, text):
        """Greedily; what no token begins with is left out."""
        text = text.encode() if isinstance(text, str) else text
        ids = []
        while text:
            known = [n for n, each in enumerate(self.tokens[:-1]) if text.startswith(each)]
            if not known:
                break
            ids.append(max(known, key=lambda n: len(self.tokens[n])))
            text = text[len(self.tokens[ids[-1]]) :]
        return ids


def allowed(words):
    count = len(words) + 1
    library = LLTokenizer(TokenizerWrapper(Words(words)), n_vocab=count, eos_token=count - 1)
    matcher = LLMatcher(library, LLMatcher.grammar_from_regex(" (fox|owl)"), log_level=0)
    bits = np.zeros((count + 31) // 32, dtype=np.int32)
    matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
    flags = np.unpackbits(bits.view(np.uint8), bitorder="little")
    return sorted(word for word, flag in zip(words, flags) if flag)


pieces = [" fox", " owl", "fox", "owl"]
without, having = allowed(pieces), allowed([*pieces, " "])
print(f"allowed at the beginning of / (fox|owl)/: {without}")
print(f"with a token for the blank: {having}")

if (without, having) != (["fox", "owl"], [" ", " fox", " owl"]):
    sys.exit("changed: what is forced is kept")
print("as described")
PYTHON
