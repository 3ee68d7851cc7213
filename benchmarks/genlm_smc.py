"""What bench_steering.py runs with genlm-control's Python: its SMC on the same task.

Reads a folder of a model, its prompt and sizes as arguments; then runs once for each line that it
is sent, and answers with the seconds, the particles' mean count of the letter, and the evidence.

    python genlm_smc.py FOLDER PROMPT LETTER PARTICLES TOKENS
"""

import asyncio
import json
import sys
import time

import numpy as np
import torch
from genlm.control import Potential, PromptedLLM, direct_token_sampler


class Letters(Potential):
    """Makes a text e times as likely for each time it has a letter."""

    def __init__(self, vocabulary: list[bytes], letter: bytes) -> None:
        super().__init__(vocabulary)
        self.letter = letter

    async def prefix(self, context: list[bytes]) -> float:
        """The log weight of an unfinished text."""
        return float(sum(bytes(token).count(self.letter) for token in context))

    async def complete(self, context: list[bytes]) -> float:
        """The log weight of a finished one."""
        return await self.prefix(context)


def main() -> None:
    """Run it."""
    folder, prompt, letter, particles, tokens = sys.argv[1:]
    torch.set_num_threads(1)
    llm = PromptedLLM.from_name(folder, backend="hf", temperature=1.0)
    llm.set_prompt_from_str(prompt)
    critic = Letters(llm.vocab, letter.encode())
    sampler = direct_token_sampler(llm)
    print("ready", flush=True)
    for _ in sys.stdin:
        llm.model.clear_cache()
        started = time.perf_counter()
        found = asyncio.run(
            sampler.smc(
                n_particles=int(particles),
                ess_threshold=0.5,
                max_tokens=int(tokens),
                critic=critic,
            )
        )
        seconds = time.perf_counter() - started
        counts = [
            sum(bytes(token).count(critic.letter) for token in context[:-1])
            for context in found.contexts
        ]
        mean = float(np.dot(found.normalized_weights, counts))
        print(json.dumps([seconds, mean, float(found.log_ml)]), flush=True)


if __name__ == "__main__":
    main()
