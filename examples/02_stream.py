"""Read text while it is made, and stop early without losing what there is.

Run it: python examples/02_stream.py [MODEL]
"""

import sys

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])

print("Every delta is text that became certain:")
for delta in gen.stream("Once upon a time", max_new_tokens=12, temperature=0.8, seed=7):
    print(f"  {delta.text!r}", end="", flush=True)
print(f"\nThe last one says why the row ended: {delta.finish_reason}.")

print("\nSeveral rows stream side by side; a delta names its prompt and its sample:")
texts: dict[tuple[int, int], str] = {}
pair = ["The king said", "The cat said"]
for delta in gen.stream(
    pair, num_return_sequences=2, max_new_tokens=12, temperature=0.8, top_p=0.95, seed=7
):
    row = delta.prompt_index, delta.sample_index
    texts[row] = texts.get(row, "") + delta.text
for row, text in texts.items():
    print(f"  {row}: {text!r}")

print("\nA stream can be cancelled, from any thread; here after five tokens:")
stream = gen.stream("Once upon a time", max_new_tokens=100, temperature=0.8, seed=7)
seen = 0
for delta in stream:
    seen += len(delta.tokens)
    if seen == 5:
        stream.cancel()
(completion,) = stream.result.completions
print(f"  {completion.finish_reason}, with {len(completion.tokens)} tokens: {completion.text!r}")
