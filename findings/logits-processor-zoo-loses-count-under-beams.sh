#!/usr/bin/env bash
# logits-processor-zoo 0.2.1 with transformers 5.24.0: under beam search its processors lose count.
#
# Each keeps what it knows of rows by their place in the batch, and takes a step for the first one of
# a new call where the rows' tokens, the last ones aside, are not those of the step before. But
# beams change places: nearly each step looks like a new call. So GenLengthLogitsProcessor counts 0
# tokens again and again, and adds next to nothing where greedy decoding adds more and more;
# CiteFromPromptLogitsProcessor takes what was written for the prompt. Processors that are told a
# batch_size, in their docstrings the number of prompts, have no place for the beams of each: an
# IndexError. The others give no error and no warning.
#
# Seen with torch 2.13.0:
#   GenLength, greedy, tokens counted: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
#   GenLength, 3 beams, tokens counted: [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
#   Cite, 3 beams, length of what is taken for a prompt of 3: [3, 3, 5, 6, 7, 8, 9, 10, 11, 12]
#   ForceLastPhrase(batch_size=2), 3 beams: IndexError
#   TriggerPhrase(batch_size=2), 3 beams: IndexError
#   PreventHallucination(batch_size=2), 3 beams: IndexError
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 \
            logits-processor-zoo==0.2.1
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore "$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import torch
import transformers
from logits_processor_zoo import transformers as zoo
from transformers import GPT2Config, GPT2LMHeadModel

print(
    f"logits-processor-zoo {version('logits-processor-zoo')}, "
    f"transformers {transformers.__version__}, torch {torch.__version__}"
)
print("Under beam search, processors take nearly each step for the first one of a new call.")


LETTERS = "abcdefghijklmnopqrstuvwxyz .\n"


class Tokenizer:
    """A token for each letter, small and capital alike, behind the end token 0."""

    eos_token_id = 0
    add_prefix_space = False

    def encode(self, text, add_special_tokens=False):
        return [1 + LETTERS.index(each) for each in text.lower()]

    def decode(self, token):
        return LETTERS[int(token) - 1]

    def get_vocab(self):
        return {letter: 1 + at for at, letter in enumerate(LETTERS)}


torch.manual_seed(0)
shape = {"vocab_size": 30, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
config = GPT2Config(**shape, bos_token_id=0, eos_token_id=0, pad_token_id=0)
model = GPT2LMHeadModel(config).eval()
tokenizer = Tokenizer()
prompts = torch.tensor([[7, 8, 9], [10, 11, 12]])


def write(processor, **options):
    model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        max_new_tokens=10,
        min_new_tokens=10,
        logits_processor=[processor],
        **options,
    )


def watched(kind, value, *arguments, **options):
    """Return what a processor holds of the prompt's length at each step."""
    seen = []

    class Watched(kind):
        def _process(self, input_ids, scores):
            seen.append(value(self, input_ids))
            return super()._process(input_ids, scores)

    write(Watched(tokenizer, *arguments), **options)
    return seen


def counted(processor, input_ids):
    return input_ids.shape[1] - processor.prompt_token_ids.shape[1]


def taken_for_the_prompt(processor, input_ids):
    return processor.prompt_token_ids.shape[1]


greedy = watched(zoo.GenLengthLogitsProcessor, counted, 0.1)
beams = watched(zoo.GenLengthLogitsProcessor, counted, 0.1, num_beams=3)
cited = watched(zoo.CiteFromPromptLogitsProcessor, taken_for_the_prompt, 1.0, num_beams=3)
print(f"GenLength, greedy, tokens counted: {greedy}")
print(f"GenLength, 3 beams, tokens counted: {beams}")
print(f"Cite, 3 beams, length of what is taken for a prompt of 3: {cited}")


def failure(processor):
    try:
        write(processor, num_beams=3)
    except IndexError as error:
        return type(error).__name__
    return "none"


failures = {
    "ForceLastPhrase": failure(zoo.ForceLastPhraseLogitsProcessor("abc", tokenizer, 2)),
    "TriggerPhrase": failure(zoo.TriggerPhraseLogitsProcessor(tokenizer, 2, "abc", "h")),
    "PreventHallucination": failure(zoo.PreventHallucinationLogitsProcessor(tokenizer, 2, phrase="abc")),
}
for name, error in failures.items():
    print(f"{name}(batch_size=2), 3 beams: {error}")


as_described = (
    greedy == list(range(10))
    and beams.count(0) > 5
    and len(set(cited)) > 5
    and set(failures.values()) == {"IndexError"}
)
if not as_described:
    sys.exit("changed: processors no longer lose count under beams as described")
print("as described")
PYTHON
