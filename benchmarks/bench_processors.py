"""What each processor costs beside transformers' own, on a vocabulary of GPT-2's size.

Milliseconds per call on 1, 8 and 32 rows of 200 tokens, one thread, over logits whose top-p 0.95
holds about forty tokens (`peaked`) or several thousand (`flat`): sorting does not care, a search
might. One that is not installed is left out.

    python benchmarks/bench_processors.py [--rounds 15] [--only top_p,min_p] [--rows 1,8,32]
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import transformers as hf
from record import interleave, save
from torch import Tensor

from gpt2sdk import LogitsProcessor
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.testing import make_rows
from gpt2sdk.testing.trial import open_session

VOCAB, TIME, END = 50257, 200, 50256
SPREAD = {"peaked": 6.0, "flat": 3.0}
ALLOWED = list(range(0, VOCAB, 50))

Theirs = Callable[[Tensor], Callable[[Tensor, Tensor], Tensor]]
"""Makes transformers' processor for rows of these tokens, which are all prompt but the last one."""


@dataclass(frozen=True)
class Pair:
    """A row of the table.

    Attributes:
        name: What it is called there.
        options: Ours: the option that turns it on, and others.
        theirs: transformers'; `None` where it has none.
    """

    name: str
    options: dict[str, object] = field(default_factory=dict)
    theirs: Theirs | None = None

    def ours(self) -> LogitsProcessor | None:
        """Return ours; `None` if it is not installed."""
        offers = default_registry().having(next(iter(self.options)), LogitsProcessor)
        component = offers[0].component(**self.options) if offers else None
        return component if isinstance(component, LogitsProcessor) else None


def pairs() -> Sequence[Pair]:
    """Return the table."""
    words = torch.randint(0, VOCAB, (50, 3), generator=torch.Generator().manual_seed(1)).tolist()
    biases = {token: 1.0 for word in words for token in word}
    singles = {(token,): bias for token, bias in biases.items()}
    sequences = {tuple(word): 1.0 for word in words}
    flat = sorted(biases)
    return [
        Pair("temperature", {"temperature": 0.7}, lambda _: hf.TemperatureLogitsWarper(0.7)),
        Pair("dynatemp_range", {"temperature": 1.0, "dynatemp_range": 0.5}),
        Pair("smoothing_factor", {"smoothing_factor": 0.3}),
        Pair("top_n_sigma", {"top_n_sigma": 1.0}),
        Pair("min_k", {"min_k": True}),
        Pair("top_h 0.5", {"top_h": 0.5}, lambda _: hf.TopHLogitsWarper(0.5)),
        Pair("top_k 50", {"top_k": 50}, lambda _: hf.TopKLogitsWarper(50)),
        Pair("top_p 0.95", {"top_p": 0.95}, lambda _: hf.TopPLogitsWarper(0.95)),
        Pair("top_p_decay", {"top_p": 0.95, "top_p_decay": 0.9}),
        Pair("min_p 0.05", {"min_p": 0.05}, lambda _: hf.MinPLogitsWarper(0.05)),
        Pair("typical_p 0.9", {"typical_p": 0.9}, lambda _: hf.TypicalLogitsWarper(0.9)),
        Pair("epsilon_cutoff", {"epsilon_cutoff": 1e-3}, lambda _: hf.EpsilonLogitsWarper(1e-3)),
        Pair("eta_cutoff", {"eta_cutoff": 1e-3}, lambda _: hf.EtaLogitsWarper(1e-3)),
        Pair("tfs", {"tfs": 0.95}),
        Pair("top_a", {"top_a": 0.2}),
        Pair("p_less", {"p_less": True}),
        Pair("xtc_probability", {"xtc_probability": 0.5}),
        Pair("renormalize_logits", {"renormalize_logits": True}, lambda _: hf.LogitNormalization()),
        Pair(
            "repetition_penalty",
            {"repetition_penalty": 1.2},
            lambda _: hf.RepetitionPenaltyLogitsProcessor(1.2),
        ),
        Pair(
            "encoder_repetition_penalty",
            {"encoder_repetition_penalty": 1.2},
            lambda tokens: hf.EncoderRepetitionPenaltyLogitsProcessor(1.2, tokens[:, :-1]),
        ),
        Pair("frequency_penalty", {"frequency_penalty": 0.5}),
        Pair("presence_penalty", {"presence_penalty": 0.5}),
        Pair("dry_multiplier", {"dry_multiplier": 0.8}),
        Pair(
            "no_repeat_ngram_size 3",
            {"no_repeat_ngram_size": 3},
            lambda _: hf.NoRepeatNGramLogitsProcessor(3),
        ),
        Pair(
            "exponential_decay_length_penalty",
            {"exponential_decay_length_penalty": (0, 1.01)},
            lambda _: hf.ExponentialDecayLengthPenalty((0, 1.01), END, TIME - 1),
        ),
        Pair(
            "logit_bias 150",
            {"logit_bias": biases},
            lambda _: hf.SequenceBiasLogitsProcessor(singles),
        ),
        Pair(
            "sequence_bias 50",
            {"sequence_bias": sequences},
            lambda _: hf.SequenceBiasLogitsProcessor(sequences),
        ),
        Pair("bad_words 50", {"bad_words": words}, lambda _: hf.NoBadWordsLogitsProcessor(words)),
        Pair(
            "bad_words 150 alone",
            {"bad_words": [[token] for token in flat]},
            lambda _: hf.NoBadWordsLogitsProcessor([[token] for token in flat]),
        ),
        Pair(
            "suppress_tokens 150",
            {"suppress_tokens": flat},
            lambda _: hf.SuppressTokensLogitsProcessor(flat),
        ),
        Pair(
            "begin_suppress_tokens",
            {"begin_suppress_tokens": flat},
            lambda _: hf.SuppressTokensAtBeginLogitsProcessor(flat, TIME - 1),
        ),
        Pair("allowed_token_ids", {"allowed_token_ids": ALLOWED}),
        Pair(
            "prefix_allowed_tokens_fn",
            {"prefix_allowed_tokens_fn": lambda _, __: ALLOWED},
            lambda _: hf.PrefixConstrainedLogitsProcessor(lambda _, __: ALLOWED, 1),
        ),
        Pair(
            "min_new_tokens",
            {"min_new_tokens": TIME},
            lambda _: hf.MinNewTokensLengthLogitsProcessor(TIME - 1, TIME, END),
        ),
    ]


def compare(kind: str, count: int, rounds: int, only: Sequence[str]) -> Iterator[dict[str, object]]:
    """Time every pair on one number of rows."""
    generator = torch.Generator().manual_seed(count)
    logits = SPREAD[kind] * torch.randn(count, VOCAB, generator=generator)
    tokens = torch.randint(0, END, (count, TIME), generator=generator)
    rows = make_rows(
        tokens.tolist(), prompt_lengths=[TIME - 1] * count, eos_token_ids=[END], max_new_tokens=TIME
    )
    session = open_session(
        [row.prompt for row in rows.records], vocab_size=VOCAB, eos_token_ids=[END]
    )
    for pair in pairs():
        ours = pair.ours()
        if ours is None or (only and not any(pair.name.startswith(each) for each in only)):
            continue
        run = ours.start(session)
        contestants = {"gpt2sdk": lambda run=run: run.process(logits, rows)}
        if pair.theirs is not None:
            theirs = pair.theirs(tokens)
            contestants["transformers"] = lambda theirs=theirs: theirs(tokens, logits)
        seconds = interleave(contestants, rounds)
        milliseconds = {who: 1e3 * median for who, median in seconds.items()}
        their = milliseconds.get("transformers")
        yield {
            "processor": pair.name,
            "logits": kind,
            "rows": count,
            "gpt2sdk_ms": milliseconds["gpt2sdk"],
            "transformers_ms": their,
            "times_as_fast": their and their / milliseconds["gpt2sdk"],
        }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="the beginnings of names, between commas")
    parser.add_argument("--rows", default="1,8,32")
    given = parser.parse_args()
    only = [each for each in given.only.split(",") if each]
    counts = [int(each) for each in given.rows.split(",")]
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = [
            row
            for kind in SPREAD
            for count in counts
            for row in compare(kind, count, given.rounds, only)
        ]
    save("processors", found)


if __name__ == "__main__":
    main()
