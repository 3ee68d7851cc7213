"""Sequential Monte Carlo with 32 particles on GPT-2 124M's shape, beside genlm-control's.

The potential makes a text e times as likely for each letter "e" of it. Both draw from the same
random weights, weigh every token, resample multinomially below half the particles, and let each
text end at its limit with an end token. genlm-control runs in a Python of its own, named with
`--genlm`; without it only what is here is timed. `mean` is the weighted mean of the letter's count
and `log_evidence` the estimate of the last round: they should be near each other.

    python benchmarks/bench_steering.py [--genlm PYTHON] [--rounds 3] [--tokens 32] [--small]
"""

import argparse
import json
import subprocess
import tempfile
from itertools import product
from pathlib import Path

import tokenizers
import torch
from random_model import SIZES, SMALL, write_random_model
from record import interleave, save
from tokenizers import decoders, models, pre_tokenizers

from gpt2sdk import Generator, Tokenizer
from gpt2sdk_steering import posterior

PROMPT = "Once upon a time there was a king"
LETTER = "e"


def pairs_tokenizer() -> Tokenizer:
    """Return a tokenizer of GPT-2's size: bytes, and pairs of them, in the order of bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = list(product(letters, letters))[: 50257 - 1 - len(letters)]
    words = [*letters, *(a + b for a, b in pairs), "<|endoftext|>"]
    bpe = models.BPE({word: number for number, word in enumerate(words)}, pairs)
    library = tokenizers.Tokenizer(bpe)
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens(["<|endoftext|>"])
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    texts = {"tokenizer.json": library.to_str(), "tokenizer_config.json": json.dumps(settings)}
    return Tokenizer.from_texts(texts)


class Theirs:
    """genlm-control in a process of its own.

    Attributes:
        answer: What the last run said: seconds, mean and log evidence.
    """

    def __init__(self, python: str, folder: Path, particles: int, tokens: int) -> None:
        script = Path(__file__).with_name("genlm_smc.py")
        words = [str(folder), PROMPT, LETTER, str(particles), str(tokens)]
        self.answer: list[float] = []
        self._process = subprocess.Popen(
            [python, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def __call__(self) -> None:
        """Run once."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.answer = json.loads(self._read())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("genlm-control ended: see above")
        return line


def compare(folder: Path, genlm: str | None, rounds: int, tokens: int) -> list[dict[str, object]]:
    """Time both, taking turns."""
    particles = 32
    gen = Generator.from_pretrained(str(folder), device="cpu")
    found: dict[str, list[float]] = {}

    def ours() -> None:
        result = gen.generate(
            PROMPT,
            strategy="smc",
            potential=lambda text: float(text.count(LETTER)),
            resampling="multinomial",
            num_particles=particles,
            num_return_sequences=particles,
            max_new_tokens=tokens,
        )
        each = posterior(result)
        found["gpt2sdk"] = [each.mean(lambda text: text.count(LETTER)), each.log_evidence]

    contestants = {"gpt2sdk": ours}
    theirs = None if genlm is None else Theirs(genlm, folder, particles, tokens)
    if theirs is not None:
        contestants["genlm-control"] = theirs
    seconds = interleave(contestants, rounds)
    if theirs is not None:
        found["genlm-control"] = theirs.answer[1:]
        theirs.close()
    return [
        {
            "who": who,
            "particles": particles,
            "tokens": tokens,
            "seconds": taken,
            "times_genlm": seconds.get("genlm-control", taken) / taken,
            "mean": found[who][0],
            "log_evidence": found[who][1],
        }
        for who, taken in seconds.items()
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genlm", help="a Python that has genlm-control")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--small", action="store_true", help="a small model, to try it out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        sizes = {**SMALL, "vocab_size": 50257} if given.small else SIZES["124M"]
        write_random_model(folder, sizes, tokenizer=pairs_tokenizer())
        rows = compare(folder, given.genlm, given.rounds, given.tokens)
    if given.small:
        print(rows)
    else:
        save("steering", rows)


if __name__ == "__main__":
    main()
