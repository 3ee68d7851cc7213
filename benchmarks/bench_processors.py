"""What each processor costs beside transformers' own, on a vocabulary of GPT-2's size.

Milliseconds per call on 1, 8 and 32 rows of 200 tokens, one thread, over logits whose top-p 0.95
holds about forty tokens (`peaked`) or several thousand (`flat`): sorting does not care, a search
might.

    python benchmarks/bench_processors.py [--rounds 15]
"""

import argparse
from collections.abc import Callable

import torch
import transformers as hf
from record import interleave, save

from gpt2sdk import LogitsProcessor
from gpt2sdk.testing import make_rows
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.bad_words import BadWords
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff
from gpt2sdk_sampling.frequency_penalty import FrequencyPenalty
from gpt2sdk_sampling.logit_bias import LogitBias
from gpt2sdk_sampling.min_new_tokens import MinNewTokens
from gpt2sdk_sampling.min_p import MinP
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize
from gpt2sdk_sampling.presence_penalty import PresencePenalty
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_k import TopK
from gpt2sdk_sampling.top_p import TopP
from gpt2sdk_sampling.typical_p import TypicalP

VOCAB, TIME, END = 50257, 200, 50256
SPREAD = {"peaked": 6.0, "flat": 3.0}
Theirs = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def pairs() -> dict[str, tuple[LogitsProcessor, Theirs | None]]:
    """Ours and, where there is one, transformers' processor."""
    words = torch.randint(0, VOCAB, (50, 3), generator=torch.Generator().manual_seed(1)).tolist()
    biases = {token: 1.0 for word in words for token in word}
    singles = {(token,): bias for token, bias in biases.items()}
    return {
        "temperature": (Temperature(temperature=0.7), hf.TemperatureLogitsWarper(0.7)),
        "top_h 0.5": (TopH(top_h=0.5), hf.TopHLogitsWarper(0.5)),
        "top_k 50": (TopK(top_k=50), hf.TopKLogitsWarper(50)),
        "top_p 0.95": (TopP(top_p=0.95), hf.TopPLogitsWarper(0.95)),
        "min_p 0.05": (MinP(min_p=0.05), hf.MinPLogitsWarper(0.05)),
        "typical_p 0.9": (TypicalP(typical_p=0.9), hf.TypicalLogitsWarper(0.9)),
        "epsilon_cutoff": (EpsilonCutoff(epsilon_cutoff=1e-3), hf.EpsilonLogitsWarper(1e-3)),
        "eta_cutoff": (EtaCutoff(eta_cutoff=1e-3), hf.EtaLogitsWarper(1e-3)),
        "repetition_penalty": (
            RepetitionPenalty(repetition_penalty=1.2),
            hf.RepetitionPenaltyLogitsProcessor(1.2),
        ),
        "frequency_penalty": (FrequencyPenalty(frequency_penalty=0.5), None),
        "presence_penalty": (PresencePenalty(presence_penalty=0.5), None),
        "no_repeat_ngram_size 3": (
            NoRepeatNgramSize(no_repeat_ngram_size=3),
            hf.NoRepeatNGramLogitsProcessor(3),
        ),
        "logit_bias 150": (
            LogitBias(logit_bias=biases),
            hf.SequenceBiasLogitsProcessor(singles),
        ),
        "bad_words 50": (BadWords(bad_words=words), hf.NoBadWordsLogitsProcessor(words)),
        "min_new_tokens": (
            MinNewTokens(min_new_tokens=TIME),
            hf.MinNewTokensLengthLogitsProcessor(1, TIME, END),
        ),
    }


def compare(kind: str, count: int, rounds: int) -> list[dict[str, object]]:
    """Time every pair on one number of rows."""
    generator = torch.Generator().manual_seed(count)
    logits = SPREAD[kind] * torch.randn(count, VOCAB, generator=generator)
    tokens = torch.randint(0, END, (count, TIME), generator=generator)
    rows = make_rows(tokens.tolist(), eos_token_ids=[END])
    session = open_session(
        [row.prompt for row in rows.records], vocab_size=VOCAB, eos_token_ids=[END]
    )
    found: list[dict[str, object]] = []
    for name, (ours, theirs) in pairs().items():
        run = ours.start(session)
        contestants = {"gpt2sdk": lambda run=run: run.process(logits, rows)}
        if theirs is not None:
            contestants["transformers"] = lambda theirs=theirs: theirs(tokens, logits)
        seconds = interleave(contestants, rounds)
        milliseconds = {who: 1e3 * median for who, median in seconds.items()}
        their = milliseconds.get("transformers")
        found.append(
            {
                "processor": name,
                "logits": kind,
                "rows": count,
                "gpt2sdk_ms": milliseconds["gpt2sdk"],
                "transformers_ms": their,
                "times_as_fast": their and their / milliseconds["gpt2sdk"],
            }
        )
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = [
            row for kind in SPREAD for count in (1, 8, 32) for row in compare(kind, count, rounds)
        ]
    save("processors", found)


if __name__ == "__main__":
    main()
