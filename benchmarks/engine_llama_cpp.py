"""llama.cpp through its C interface, with a model that is written as GGUF from the same weights.

A build for a processor with AMX may end with an illegal instruction in Q8_0. One that does not:

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON
    -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON" pip install llama-cpp-python
"""

import ctypes
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import llama_cpp as ll
import numpy as np

BITS = {"F32": 32.0, "BF16": 16.0, "Q8_0": 8 * 34 / 32}
KINDS = {"BF16": ll.LLAMA_FTYPE_MOSTLY_BF16, "Q8_0": ll.LLAMA_FTYPE_MOSTLY_Q8_0}
# Messages of its loader; the function must be kept.
_SILENT = ll.llama_log_callback(lambda level, text, data: None)


class Engine:
    """A model of a folder that has a `model.gguf` in F32, too."""

    can = ("greedy",)

    def __init__(self, folder: str, weights: str, threads: int, device: str, runner: str) -> None:
        ll.llama_log_set(_SILENT, ctypes.c_void_p(0))
        ll.llama_backend_init()
        self.bits, self.threads = BITS[weights], threads
        plain = Path(folder) / "model.gguf"
        with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
            file = plain if weights == "F32" else Path(made) / "model.gguf"
            if weights != "F32":
                how = ll.llama_model_quantize_default_params()
                how.ftype, how.nthread = KINDS[weights], threads
                names = str(plain).encode(), str(file).encode()
                if ll.llama_model_quantize(*names, ctypes.byref(how)):
                    message = f"llama.cpp did not quantize to {weights}"
                    raise RuntimeError(message)
            settings = ll.llama_model_default_params()
            settings.use_mmap = False
            self.model = ll.llama_model_load_from_file(str(file).encode(), settings)
        if not self.model:
            message = "llama.cpp did not load the model"
            raise RuntimeError(message)
        self.vocabulary = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model))
        self.shape, self.context = (0, 0), None

    def about(self) -> dict[str, object]:
        """Bits of a weight, and bytes of keys and values for each number of them: float16."""
        found = version("llama-cpp-python")
        return {"can": self.can, "weight_bits": self.bits, "cached_bytes": 2, "version": found}

    def run(self, job: dict) -> dict[str, object]:
        """Generate; the context is made anew outside of the time where it does not fit."""
        prompts, new = job["prompts"], job["new"][0]
        rows, length = len(prompts), len(prompts[0])
        self._reserve(rows, length + new)
        batch = ll.llama_batch_init(rows * length, 0, 1)
        started = time.perf_counter()
        ll.llama_memory_clear(ll.llama_get_memory(self.context), True)  # noqa: FBT003 - it has no names
        tokens: list[list[int]] = [[] for _ in prompts]
        self._feed(batch, [(t, p, r) for r, row in enumerate(prompts) for p, t in enumerate(row)])
        last = [length * (row + 1) - 1 for row in range(rows)]
        for step in range(new):
            for row, place in enumerate(last):
                logits = ll.llama_get_logits_ith(self.context, place)
                numbers = np.ctypeslib.as_array(logits, (self.vocabulary,))
                tokens[row].append(int(numbers.argmax()))
            if step + 1 < new:
                self._feed(batch, [(row[-1], length + step, r) for r, row in enumerate(tokens)])
                last = list(range(rows))
        seconds = time.perf_counter() - started
        ll.llama_batch_free(batch)
        return {"seconds": seconds, "tokens": tokens}

    def _reserve(self, rows: int, length: int) -> None:
        """Make a context for so many rows, each with cells of its own."""
        if self.shape == (rows, length):
            return
        if self.context:
            ll.llama_free(self.context)
        settings = ll.llama_context_default_params()
        settings.n_seq_max = rows
        settings.n_ctx = rows * (-(-length // 256) * 256)
        settings.n_batch = max(512, rows * length)
        settings.n_threads = settings.n_threads_batch = self.threads
        settings.kv_unified = False
        self.context = ll.llama_init_from_model(self.model, settings)
        self.shape = rows, length
        if not self.context:
            message = f"llama.cpp made no context for {rows} rows of {length}"
            raise RuntimeError(message)

    def _feed(self, batch: ll.llama_batch, fed: list[tuple[int, int, int]]) -> None:
        """Feed tokens, each with its position and row; the last of each row is scored."""
        ends = {row: place for place, (_, _, row) in enumerate(fed)}
        batch.n_tokens = len(fed)
        for place, (token, position, row) in enumerate(fed):
            batch.token[place] = token
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = row
            batch.logits[place] = ends[row] == place
        if ll.llama_decode(self.context, batch):
            message = "llama.cpp did not decode"
            raise RuntimeError(message)
