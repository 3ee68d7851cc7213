"""What the loop costs beyond the model, beside transformers in the same run.

A 1-layer model (width 16) is so small that the loop shows: microseconds per token of a whole call,
less those of a bare loop over the same library's forward pass with its own cache, one thread. With
256 tokens it is the loop alone, with 50,257 what the chain does to a vocabulary, too.

    python benchmarks/bench_overhead.py [--rounds 7]
"""

import argparse

import torch
from record import interleave, save
from transformers import DynamicCache, GPT2LMHeadModel
from transformers import GPT2Config as PeerConfig

from gpt2sdk import Generator, GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import Letters

NEW = 400
VOCABULARIES = (256, 50257)
SIZES = {"n_positions": 512, "n_embd": 16, "n_layer": 1, "n_head": 2}
CHAIN = {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    save("overhead", [row for size in VOCABULARIES for row in measured(size, rounds)])


def measured(vocabulary: int, rounds: int) -> list[dict[str, object]]:
    """Time both libraries with models of so many tokens."""
    theirs = GPT2LMHeadModel(PeerConfig(vocab_size=vocabulary, **SIZES)).eval()
    ours, letters = GPT2(GPT2Config(vocab_size=vocabulary, **SIZES), seed=0), Letters()
    ours.prepare()
    gen = Generator(ours, letters, decoder=letters, eos_token_ids=[])
    prompt = torch.arange(8)[None]
    fixed = {
        "attention_mask": torch.ones_like(prompt),
        "max_new_tokens": NEW,
        "eos_token_id": None,
        "pad_token_id": 0,
    }

    def their_forward() -> None:
        cache, tokens = DynamicCache(config=theirs.config), prompt
        with torch.inference_mode():
            for _ in range(NEW):
                out = theirs(tokens, cache=cache, use_cache=True, logits_to_keep=1)
                tokens = out.logits[:, -1].argmax(-1, keepdim=True)

    def our_forward() -> None:
        cache, tokens = ours.make_cache(1), prompt.tolist()
        with torch.inference_mode():
            for _ in range(NEW):
                tokens = [[int(ours.score(cache, tokens, [1]).logits.argmax())]]

    medians = interleave(
        {
            "transformers forward": their_forward,
            "gpt2sdk forward": our_forward,
            "transformers greedy": lambda: theirs.generate(prompt, do_sample=False, **fixed),
            "gpt2sdk greedy": lambda: gen.generate(
                prompt[0].tolist(), strategy="greedy", max_new_tokens=NEW
            ),
            "transformers sampled": lambda: theirs.generate(
                prompt, do_sample=True, **CHAIN, **fixed
            ),
            "gpt2sdk sampled": lambda: gen.generate(
                prompt[0].tolist(), max_new_tokens=NEW, seed=0, **CHAIN
            ),
        },
        rounds,
    )
    rows: list[dict[str, object]] = []
    for kind in ("greedy", "sampled"):
        beyond = {}
        for library in ("transformers", "gpt2sdk"):
            forward = medians[f"{library} forward"]
            beyond[library] = (medians[f"{library} {kind}"] - forward) / NEW * 1e6
        rows += [
            {
                "vocabulary": vocabulary,
                "engine": f"{library} {kind}",
                "forward_us_per_token": medians[f"{library} forward"] / NEW * 1e6,
                "beyond_us_per_token": microseconds,
                "share_of_transformers": microseconds / beyond["transformers"],
            }
            for library, microseconds in beyond.items()
        ]
    return rows


if __name__ == "__main__":
    main()
