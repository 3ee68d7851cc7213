"""One random GPT-2 in two hands: this package's and transformers', with the same weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from gpt2sdk import Generator

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 30)
PROMPTS = 40
THEIR_NAMES = {"bad_words": "bad_words_ids", "stop": "stop_strings"}


@dataclass(frozen=True)
class Expected:
    """What transformers made of one prompt, best first; greedy search gives no scores."""

    tokens: list[list[int]]
    scores: list[float]


@dataclass(frozen=True)
class Twins:
    """The same model twice, with 40 prompts of 1 to 30 tokens."""

    ours: Generator
    theirs: Callable
    tokenizer: Callable
    prompts: list[list[int]]
    common: list[int]
    folder: Path

    def run_by(self, runner):
        """Return the same, but ours computed by another runner."""
        return replace(self, ours=Generator.from_pretrained(self.folder, runner=runner))

    @property
    def vocab_size(self):
        """How many tokens there are."""
        return self.ours.model.vocab_size

    def ends(self, count):
        """Return tokens that greedy search writes often, so that they end rows at any step.

        The very first ones would end most rows at once.
        """
        return self.common[3 : 3 + count]

    def generate(self, **options):
        """Run all prompts as one ragged batch of ours, unless an option says otherwise."""
        options = {"batch_size": PROMPTS, "eos_token_id": None} | options
        return self.ours.generate(self.prompts, **options)

    def expect(self, *, alone=False, max_new_tokens, **options):
        """Ask transformers; prompts of equal length together, so that it never pads, or `alone`.

        Args:
            alone: Give it one prompt at a time.
            max_new_tokens: One number, or one for each prompt that depends on its length only.
            options: Ours, which are translated.
        """
        options = {THEIR_NAMES.get(name, name): value for name, value in options.items()}
        if "stop_strings" in options:
            options["tokenizer"] = self.tokenizer
        rooms = max_new_tokens
        if isinstance(rooms, int):
            rooms = [rooms] * PROMPTS
        found = {}
        for places in self.groups(alone=alone):
            answers = self._ask(places, max_new_tokens=rooms[places[0]], **options)
            found.update(zip(places, answers, strict=True))
        return [found[place] for place in range(PROMPTS)]

    def groups(self, *, alone=False):
        """Return the places of prompts that transformers is given together."""
        if alone:
            return [[place] for place in range(PROMPTS)]
        return [
            [place for place, prompt in enumerate(self.prompts) if len(prompt) == length]
            for length in LENGTHS
        ]

    def _ask(self, places, *, num_return_sequences=1, **options):
        prompts = torch.tensor([self.prompts[place] for place in places])
        output = self.theirs.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            num_return_sequences=num_return_sequences,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        rows = output.sequences[:, prompts.shape[1] :].tolist()
        if "beam_indices" in output:
            counts = (output.beam_indices >= 0).sum(1).tolist()
            scores = output.sequences_scores.tolist()
        else:
            counts = [_length(row, options.get("eos_token_id") or ()) for row in rows]
            scores = []
        rows = [row[:count] for row, count in zip(rows, counts, strict=True)]
        each = num_return_sequences
        return [
            Expected(rows[first : first + each], scores[first : first + each])
            for first in range(0, len(rows), each)
        ]


def _length(row, ends):
    """Count a row's tokens up to its first end token; what follows is padding."""
    ends = [ends] if isinstance(ends, int) else ends
    return next((place + 1 for place, token in enumerate(row) if token in ends), len(row))


def small_tokenizer(transformers):
    """Make a byte-level tokenizer with 595 tokens, most of them letters and pairs of letters."""
    pairs = [(left, right) for left in LETTERS for right in LETTERS[::2]]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in pairs)]
    vocab = {token: number for number, token in enumerate(tokens)}
    library = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    library.add_special_tokens([AddedToken(end, normalized=False)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token=end, eos_token=end, unk_token=end
    )


def random_prompts(vocab_size):
    """Mix the lengths, so that neighbours in a batch differ."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(vocab_size, (LENGTHS[place % len(LENGTHS)],), generator=generator).tolist()
        for place in range(PROMPTS)
    ]


@pytest.fixture(scope="session")
def twins(tmp_path_factory):
    """Two layers, width 64; weights so large that the logits differ by some nats."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("twins")
    tokenizer = small_tokenizer(transformers)
    end = len(tokenizer) - 1
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=end + 1,
            n_positions=64,
            n_embd=64,
            n_layer=2,
            n_head=4,
            initializer_range=0.25,
            # A tied head would mostly repeat the last token.
            tie_word_embeddings=False,
            bos_token_id=end,
            eos_token_id=end,
        )
    ).eval()
    torch.nn.init.normal_(theirs.transformer.wpe.weight, std=0.5)
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # None in a call would mean the model's own: rows end where a test says so, and nowhere else.
    theirs.generation_config.eos_token_id = None
    ours = Generator.from_pretrained(folder)
    prompts = random_prompts(end)
    written = ours.generate(
        prompts, strategy="greedy", max_new_tokens=20, batch_size=PROMPTS, eos_token_id=None
    )
    tokens = torch.tensor([completion.tokens for completion in written.completions]).flatten()
    common = tokens.bincount(minlength=end + 1).argsort(descending=True, stable=True)
    return Twins(ours, theirs, tokenizer, prompts, common.tolist(), folder)
