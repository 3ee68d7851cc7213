"""The same clients without HTTP: tasks of one event loop, on one engine, in their own process."""

import asyncio
import json
import sys
import time

import torch
from serve_load import Took, Wanted, clients, requests, summary

from gpt2sdk import Generator

BATCH = 32


def main() -> None:
    """Run so many requests of so many clients with a model, and print how it went."""
    folder, weights, count, tasks, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    torch.set_num_threads(threads)
    quantization = None if weights == "float32" else weights
    gen = Generator.from_pretrained(folder, device="cpu", quantization=quantization)
    engine = gen.engine(batch_size=BATCH)

    async def ask(wanted: Wanted) -> Took:
        started, first = time.perf_counter(), None
        options = {"strategy": "greedy", "max_new_tokens": wanted.new, "eos_token_id": None}
        async with gen.astream(wanted.prompt, engine=engine, **options) as stream:
            async for delta in stream:
                if first is None and delta.text:
                    first = time.perf_counter() - started
        whole = time.perf_counter() - started
        return Took(whole if first is None else first, whole, stream.result.usage.new_tokens)

    wanted = requests(count)
    asyncio.run(clients(ask, wanted[:1], 1))
    before = time.process_time()
    seconds, took = asyncio.run(clients(ask, wanted, tasks))
    print(json.dumps(summary(seconds, took, time.process_time() - before)))


if __name__ == "__main__":
    main()
