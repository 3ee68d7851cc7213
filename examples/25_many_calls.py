"""Let calls that come and go share the model: each with its strategy, options and end.

Run it: python examples/25_many_calls.py [MODEL]
"""

import sys

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
engine = gen.engine(batch_size=16)

arriving = [
    ("Once upon a time", {"temperature": 0.8, "seed": 7}),
    ("The king", {"strategy": "beam", "num_beams": 3, "no_repeat_ngram_size": 3}),
    ("The old witch", {"strategy": "greedy", "repetition_penalty": 1.3, "stop": ["."]}),
    ("The wolf", {"top_p": 0.9, "seed": 3}),
]
streams = []
while len(streams) < len(arriving) or engine.step():
    if len(streams) < len(arriving):  # a call comes every other step
        prompt, options = arriving[len(streams)]
        streams.append(gen.stream(prompt, engine=engine, max_new_tokens=25, **options))
        engine.step()
        engine.step()
    if len(streams) == len(arriving):
        streams[3].cancel()

for (prompt, options), stream in zip(arriving, streams, strict=True):
    list(stream)
    (completion,) = stream.result.completions
    print(f"{completion.finish_reason:10} {prompt}{completion.text}")
    if completion.finish_reason != "cancelled":
        alone = gen.generate(prompt, max_new_tokens=25, **options)
        print(f"{'':10} the same alone: {alone.text == completion.text}")
calls = [stream.result.usage.model_calls for stream in streams]
print(f"Passes each took part in: {calls}; on their own they would have taken {sum(calls)}.")
