"""Token ids in the forms that numpy, torch, tokenizers and transformers have them."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BatchEncoding

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel

IDS = [[5, 6, 7], [8]]
LEFT = {"input_ids": [[5, 6, 7], [0, 0, 8]], "attention_mask": [[1, 1, 1], [0, 0, 1]]}
RIGHT = {"input_ids": [[5, 6, 7], [8, 0, 0]], "attention_mask": [[1, 1, 1], [1, 0, 0]]}


def tensors(batch, make):
    return {name: make(value) for name, value in batch.items()}


def encodings():
    words = Tokenizer(WordLevel({"[PAD]": 0, "f": 5, "g": 6, "h": 7, "i": 8}))
    words.pre_tokenizer = Whitespace()
    words.enable_padding(direction="left")
    return words.encode_batch(["f g h", "i"])


FORMS = {
    "lists": IDS,
    "tuples": ((5, 6, 7), (8,)),
    "numpy integers": [[np.int64(5), np.int32(6), 7], [np.uint16(8)]],
    "arrays": [np.array([5, 6, 7]), np.array([8])],
    "tensors": [torch.tensor([5, 6, 7]), torch.tensor([8], dtype=torch.int32)],
    "left": LEFT,
    "right": RIGHT,
    "tensors, left": tensors(LEFT, torch.tensor),
    "arrays, right": tensors(RIGHT, np.array),
    "transformers' batch": BatchEncoding(tensors(LEFT, torch.tensor)),
    "a mask of truth values": LEFT | {"attention_mask": [[True] * 3, [False, False, True]]},
    "without a mask": {"input_ids": IDS},
    "single batches": [{"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1]}, {"input_ids": [8]}],
    "encodings": encodings(),
}
ONE = {
    "array": np.array([5, 6, 7]),
    "tensor": torch.tensor([5, 6, 7]),
    "numbers": [np.int64(5), torch.tensor(6), 7],
    "batch": {"input_ids": [5, 6, 7, 0], "attention_mask": [1, 1, 1, 0]},
    "encoding": encodings()[0],
}


@pytest.fixture(scope="module")
def gen():
    letters = Letters()
    return Generator(TableModel(), letters, decoder=letters, eos_token_ids=[])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_token_ids_is_the_same_prompts(gen, form):
    expected = gen.generate(IDS, max_new_tokens=4, seed=1)
    made = gen.generate(FORMS[form], max_new_tokens=4, seed=1)

    assert (made.texts, made.usage.prompt_tokens) == (expected.texts, 4)


@pytest.mark.parametrize("form", ONE)
def test_every_form_of_one_sequence_is_one_prompt_and_one_text(gen, form):
    assert gen.generate(ONE[form], max_new_tokens=4, seed=1).text == (
        gen.generate([5, 6, 7], max_new_tokens=4, seed=1).text
    )
    assert gen.score(ONE[form]) == gen.score([5, 6, 7])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.tensor([0.5]), "numbers of type torch.float32, expected token ids"),
        (np.array([True]), "numbers of type bool, expected token ids"),
        ([np.array([0.5])], "numbers of type float64"),
        (np.zeros((1, 1, 1), dtype=int), r"prompt 0 is \[\[0\]\], expected a text or a list"),
        (
            {"attention_mask": [[1]]},
            "has attention_mask: expected input_ids, and an attention_mask",
        ),
        ({"input_ids": [[1]], "position_ids": [[4]]}, "has position_ids: expected input_ids"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, "a 0 or 1 for each token"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1, 2]]}, "a 0 or 1 for each token"),
        ({"input_ids": [[1, 2]], "attention_mask": [[0, 0]]}, "prompt 0 is empty"),
    ],
)
def test_what_holds_no_token_ids_is_refused(gen, given, said):
    with pytest.raises(OptionError, match=said):
        gen.generate(given)


def test_scores_build_no_graph(gen):
    class Grown(TableModel):
        """A model with a parameter."""

        scale = torch.nn.Parameter(torch.ones(()))

        def __init__(self):
            super().__init__()
            self.asked = []

        def score(self, *args):
            scores = super().score(*args)
            scores = type(scores)(scores.logits * self.scale)
            self.asked.append(scores.logits.requires_grad)
            return scores

    model, letters = Grown(), Letters()
    score = Generator(model, letters, decoder=letters, eos_token_ids=[]).score("abc", bos=False)

    assert score == gen.score("abc", bos=False)
    assert set(model.asked) == {False}
