"""transformers' `generate`, in eager mode, as its documentation has it."""

import time

import torch
from transformers import GPT2LMHeadModel, LogitsProcessorList, set_seed

PADDED = 16
Tokens = list[list[int]]


class Engine:
    """A model of a folder in one type."""

    can = ("greedy", "sample", "beam", "processors", "ragged")

    def __init__(self, folder: str, weights: str, threads: int, device: str, runner: str) -> None:
        torch.set_num_threads(threads)
        self.device = device
        self.model = GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, weights))
        self.model = self.model.eval().to(device)

    def about(self) -> dict[str, object]:
        """Bits of a weight, and bytes of keys and values for each number of them."""
        size = self.model.dtype.itemsize
        return {"can": self.can, "weight_bits": 8.0 * size, "cached_bytes": size}

    def run(self, job: dict) -> dict[str, object]:
        """Generate; rows of different lengths in batches, each as long as its longest row."""
        set_seed(0)
        prompts, new = job["prompts"], job["new"]
        size = PADDED if len(set(map(len, prompts))) > 1 or len(set(new)) > 1 else len(prompts)
        started = time.perf_counter()
        made: Tokens = []
        for first in range(0, len(prompts), size):
            made += self._batch(prompts[first : first + size], new[first : first + size], job)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": made}

    def _batch(self, prompts: Tokens, new: list[int], job: dict) -> Tokens:
        longest = max(map(len, prompts))
        padded = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        how = {"greedy": {}, "sample": {"do_sample": True, "top_k": 0, **job["options"]}}
        how["beam"] = {"num_beams": job["options"].get("num_beams")}
        processors = [_bias, _scale, _ban][: job["processors"]]
        with torch.inference_mode():
            ids = torch.tensor(padded, device=self.device)
            made = self.model.generate(
                ids,
                attention_mask=torch.tensor(mask, device=self.device),
                max_new_tokens=max(new),
                min_new_tokens=max(new),
                eos_token_id=None,
                pad_token_id=0,
                logits_processor=LogitsProcessorList(processors),
                **{"do_sample": False, **how[job["do"]]},
            )
        rows = made[:, longest:].tolist()
        return [row[:length] for row, length in zip(rows, new, strict=True)]


def _bias(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return scores + 0.125


def _scale(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return scores * 0.75


def _ban(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    scores = scores.clone()
    scores[:, 7] = -torch.inf
    return scores
