"""A decoding strategy of your own: a generator function whose keyword becomes an option.

Run it: python examples/04_own_strategy.py [MODEL]
"""

import sys
from collections.abc import Iterator

import torch

from gpt2sdk import Generator, Session, Step, strategy


@strategy(rows_independent=True)
def adventurous(session: Session, *, chance: float = 0.2) -> Iterator[Step]:
    """Take the likeliest token, but now and then draw one."""
    while session.running:
        logits = session.process(session.next_logits())
        draws = session.uniform("adventure") < chance
        yield session.append(torch.where(draws, session.choose(logits), logits.argmax(-1)))


gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])

for chance in (0.0, 0.3, 1.0):
    result = gen.generate(
        "Once upon a time", strategy=adventurous, chance=chance, max_new_tokens=24, seed=7
    )
    print(f"chance={chance}: {result.text!r}")

print("\nBatches, streams, stop strings, processors and speculation come with it:")
stream = gen.stream(
    ["The king", "The youngest daughter"],
    strategy=adventurous,
    chance=0.3,
    top_k=20,
    stop=["\n"],
    drafter="prompt_lookup",
    max_new_tokens=30,
    seed=7,
)
for delta in stream:
    if delta.completion:
        print(f"  {delta.finish_reason}: {delta.completion.text!r}")
print(f"{stream.result.usage.new_tokens} tokens in {stream.result.usage.model_calls} model calls")
