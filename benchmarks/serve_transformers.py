"""transformers' `generate`, which answers requests one by one, in a process of its own."""

import json
import sys
import time

import torch
from serve_load import Wanted, one_by_one, requests, summary
from transformers import AutoTokenizer, GPT2LMHeadModel
from transformers.generation.streamers import BaseStreamer


class FirstToken(BaseStreamer):
    """Notes when the first new token is there: the prompt comes before it."""

    def __init__(self) -> None:
        self.puts, self.at = 0, 0.0

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, or a token."""
        self.puts += 1
        if self.puts == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to be done."""


def main() -> None:
    """Run so many requests of so many clients with a folder's model, and print how it went."""
    folder, count, clients, threads = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def generate(wanted: Wanted) -> tuple[float, float]:
        started, first = time.perf_counter(), FirstToken()
        ids = tokenizer(wanted.prompt, return_tensors="pt")
        with torch.inference_mode():
            model.generate(
                **ids,
                do_sample=False,
                max_new_tokens=wanted.new,
                min_new_tokens=wanted.new,
                pad_token_id=0,
                streamer=first,
            )
        return first.at - started, time.perf_counter() - started

    wanted = requests(count)
    generate(wanted[0])
    before = time.process_time()
    seconds, took = one_by_one(generate, wanted, clients)
    print(json.dumps(summary(seconds, took, time.process_time() - before)))


if __name__ == "__main__":
    main()
