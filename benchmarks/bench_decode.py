"""Whole calls beside transformers, CTranslate2 and llama.cpp, and how far each is from the limit.

All engines have the same random weights, prompts and threads. Each is a process of its own, idle
while others have their turn; a round is one turn of everybody at everything, and every second one
runs backwards. Ratios are of pairs taken in one round. The limit is a plain read, in the same
round, of the bytes that a step has to read. Tokens are compared with those of transformers float32:
where gpt2sdk's of float32 differ, this ends with 1.

    python benchmarks/bench_decode.py [--cases rows-1,rows-8,…|all] [--engines 'gpt2sdk*,llama*']
        [--runners native,torch] [--size 124M] [--rounds 7] [--minutes 9] [--threads N]
        [--peers PYTHON] [--device cuda] [--name decode]

CTranslate2 and llama.cpp are looked for in the environment that `make bench-peers` makes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from decode_cases import DEFAULT, DecodeCase, all_cases
from decode_workers import Spec, Worker, WorkerError, all_specs, python_of
from gguf_model import write_gguf
from random_model import SIZES, SMALL, write_random_model
from record import save

from gpt2sdk.benchmark.limits import memory_of, product_rate, read_seconds
from gpt2sdk.benchmark.turns import Spread, take_turns

REFERENCE = "transformers float32"
PEERS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
USUAL = ("transformers *", "gpt2sdk * float32", "gpt2sdk * bfloat16", "gpt2sdk * int8*")
USUAL += ("gpt2sdk * int4", "ctranslate2 *", "llama.cpp *")
# Threads of some libraries go on spinning for a fifth of a second.
PAUSE = 0.3
Turn = dict[str, object]


class Contest:
    """Engines at their cases, for as many rounds as there is time."""

    def __init__(self, given: argparse.Namespace, sizes: Mapping[str, int]) -> None:
        self.given, self.sizes = given, sizes
        self.left_out: dict[str, str] = {}
        self.versions: dict[str, object] = {}
        self.rows: list[dict[str, object]] = []

    def run(self, groups: Sequence[Sequence[Spec]], cases: Sequence[DecodeCase]) -> None:
        """Run each group, which fits memory, and save what there is after each."""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
            folder = Path(parent) / "model"
            write_random_model(folder, dict(self.sizes), table=5.0, blocks=5.0)
            if any(spec.library == "llama.cpp" for group in groups for spec in group):
                write_gguf(folder)
            for group in groups:
                self._run(group, cases, folder, 60 * self.given.minutes / len(groups))
                if self.rows:
                    self._save()

    def _save(self) -> None:
        more = {"left_out": self.left_out, "peers": self.versions}
        save(self.given.name, self.rows, size=self.given.size, **more)

    def _run(
        self, group: Sequence[Spec], cases: Sequence[DecodeCase], folder: Path, seconds: float
    ) -> None:
        workers = self._workers(group, folder)
        until = time.monotonic() + seconds
        try:
            turns = {
                (case.name, spec.name): lambda case=case, spec=spec: self._turn(
                    workers, spec.name, case
                )
                for case in cases
                for spec in group
                if spec.name in workers and case.needs in workers[spec.name].about["can"]
            }
            for name, worker in list(workers.items()):
                for case in cases:
                    if (case.name, name) in turns:
                        self._warm_up(workers, name, worker, case)
            found = take_turns(turns, self.given.rounds, enough=lambda: time.monotonic() > until)
        finally:
            for worker in workers.values():
                worker.close()
        for (case, name), rounds in found.items():
            spec = next(each for each in group if each.name == name)
            reference = found.get((case, REFERENCE))
            row = summary(spec, all_cases()[case], rounds, reference)
            known = [(each["case"], each["engine"]) for each in self.rows]
            if row and (case, name) not in known:
                self.rows.append(row)

    def _workers(self, group: Sequence[Spec], folder: Path) -> dict[str, Worker]:
        given, workers = self.given, {}
        for spec in group:
            print("loading", spec.name, flush=True)
            try:
                workers[spec.name] = Worker(
                    spec,
                    python_of(spec, given.peers),
                    folder,
                    threads=given.threads,
                    device=given.device,
                )
                if version := workers[spec.name].about.get("version"):
                    self.versions[spec.library] = version
            except WorkerError as error:
                self._leave_out(workers, spec.name, error)
        return workers

    def _warm_up(
        self, workers: dict[str, Worker], name: str, worker: Worker, case: DecodeCase
    ) -> None:
        """Let kernels be chosen and memory be taken for a case's shapes."""
        try:
            if name in workers:
                worker.ask(case.job(new=min(2, max(case.new))))
        except WorkerError as error:
            self._leave_out(workers, name, error)

    def _turn(self, workers: dict[str, Worker], name: str, case: DecodeCase) -> Turn | None:
        """Let an engine run a case once; nothing where it has gone."""
        if name not in workers:
            return None
        worker = workers[name]
        time.sleep(PAUSE)
        try:
            turn = worker.ask(case.job())
            if case.steps:
                turn["first"] = worker.ask(case.job(new=1))["seconds"]
            if case.name.startswith("rows") and name.startswith("gpt2sdk"):
                turn["alone"] = worker.ask(case.job(do="passes"))
        except WorkerError as error:
            self._leave_out(workers, name, error)
            return None
        if self.given.device == "cpu":
            turn.update(self._limits(worker.about, case))
        print(f"{case.name:14} {name:28} {turn['seconds']:.3f} s", flush=True)
        return turn

    def _limits(self, about: Mapping[str, object], case: DecodeCase) -> Iterator[tuple[str, float]]:
        """Measure what bounds a step, or the first token."""
        products = about.get("products") or block_products(self.sizes)
        if case.steps:
            nbytes = read_bytes(about, self.sizes, case)
            yield "read_bytes", nbytes
            yield "read", read_seconds(memory_of(nbytes))
        elif case.new == (1,):
            rate = product_rate(case.prompts[0], torch.float32)
            yield "product", products * case.prompts[0] / rate

    def _leave_out(self, workers: dict[str, Worker], name: str, error: WorkerError) -> None:
        print(f"left out: {name}: {error}", flush=True)
        self.left_out[name] = str(error)
        if gone := workers.pop(name, None):
            gone.close()


def block_products(sizes: Mapping[str, int]) -> int:
    """How many weights the blocks' matrices have."""
    return 12 * sizes["n_layer"] * sizes["n_embd"] ** 2


def read_bytes(about: Mapping[str, object], sizes: Mapping[str, int], case: DecodeCase) -> int:
    """How many bytes a step of all rows reads: matrices once, and each row's keys and values."""
    values = 2 * sizes["n_layer"] * sizes["n_embd"]
    if "weight_bytes" in about:
        weights, place = int(str(about["weight_bytes"])), int(str(about["place_bytes"]))
    else:
        count = block_products(sizes) + sizes["vocab_size"] * sizes["n_embd"]
        weights = int(count * float(str(about["weight_bits"])) / 8)
        place = values * int(str(about["cached_bytes"]))
    return weights + case.rows * case.length * place


def summary(
    spec: Spec,
    case: DecodeCase,
    rounds: Sequence[Turn | None],
    reference: Sequence[Turn | None] | None,
) -> dict[str, object]:
    """Return what an engine's rounds at a case come to; nothing where it had none.

    Args:
        spec: The engine.
        case: What it did.
        rounds: What each round found.
        reference: The same of the engine that it is compared with.
    """
    pairs = list(zip(rounds, reference or [None] * len(rounds), strict=True))
    turns = [turn for turn, _ in pairs if turn]
    both = [(turn, other) for turn, other in pairs if turn and other]
    if not turns:
        return {}
    seconds = [float(turn["seconds"]) for turn in turns]
    tokens = sum(case.new)
    row: dict[str, object] = {
        "case": case.name,
        "engine": spec.name,
        "library": spec.library,
        "runner": spec.runner,
        "weights": spec.weights,
        "rounds": len(turns),
        "tokens_per_second": Spread.of([tokens / each for each in seconds]).as_dict(),
        "times_transformers_float32": None,
        "share_of_read": None,
        "equal_tokens": None,
        "seconds": Spread.of(seconds).as_dict(),
    }
    if both:
        row["times_transformers_float32"] = Spread.of_ratios(
            [float(other["seconds"]) for _, other in both],
            [float(turn["seconds"]) for turn, _ in both],
        ).as_dict()
        if case.do != "sample":
            mine, theirs = both[0][0]["tokens"], both[0][1]["tokens"]
            row["equal_tokens"] = sum(map(list.__eq__, mine, theirs)) / len(theirs)
    return row | steps_of(case, turns)


def steps_of(case: DecodeCase, turns: Sequence[Turn]) -> dict[str, object]:
    """Return what a step takes, its limit, and for gpt2sdk its parts."""
    found: dict[str, object] = {}
    if "product" in turns[0]:
        over, under = ([float(t[key]) for t in turns] for key in ("product", "seconds"))
        found["share_of_product"] = Spread.of_ratios(over, under).as_dict()
    if "first" not in turns[0]:
        return found
    steps = [(float(t["seconds"]) - float(t["first"])) / case.steps for t in turns]
    found["step_seconds"] = Spread.of(steps).as_dict()
    found["first_seconds"] = Spread.of([float(t["first"]) for t in turns]).as_dict()
    if "read" in turns[0]:
        read = [float(t["read"]) for t in turns]
        found["read_seconds"] = Spread.of(read).as_dict()
        found["read_bytes"] = turns[0]["read_bytes"]
        found["share_of_read"] = Spread.of_ratios(read, steps).as_dict()
    if "alone" in turns[0]:
        alone = [float(t["alone"]["later_pass"]) for t in turns]
        found["pass_seconds"] = Spread.of(alone).as_dict()
        loop = [step - one for step, one in zip(steps, alone, strict=True)]
        found["loop_seconds"] = Spread.of(loop).as_dict()
    return found


def grouped(specs: Sequence[Spec], sizes: Mapping[str, int], room: float) -> list[list[Spec]]:
    """Put engines into groups that fit memory, each with the one they are compared with.

    Args:
        specs: The engines, that one first.
        sizes: The model's.
        room: Bytes that may be used.
    """
    count = block_products(sizes) + sizes["vocab_size"] * sizes["n_embd"]
    need = {spec: 6e8 + 1.3 * count * spec.nbits / 8 for spec in specs}
    first, *others = specs
    groups: list[list[Spec]] = [[first]]
    for spec in others:
        if sum(need[each] for each in groups[-1]) + need[spec] > room and len(groups[-1]) > 1:
            groups.append([first])
        groups[-1].append(spec)
    return groups


def available() -> float:
    """Bytes of memory that could be used."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def chosen(patterns: str, names: Sequence[str], what: str) -> list[str]:
    """Return the names that patterns with commas between them match, in their order."""
    wanted = [part.strip() for part in patterns.split(",")]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            message = f"{pattern}: expected {what}, such as {', '.join(names)}"
            raise SystemExit(message)
    return [name for name in names if any(fnmatchcase(name, each) for each in wanted)]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default=",".join(DEFAULT))
    parser.add_argument("--engines", default=",".join(USUAL))
    parser.add_argument("--runners", default="native")
    parser.add_argument("--size", default="124M", choices=[*SIZES, "tiny"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peers", default=str(PEERS) if PEERS.exists() else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name")
    given = parser.parse_args()
    if given.name is None:
        parts = ["decode", *([given.size] if given.size != "124M" else [])]
        given.name = "_".join([*parts, *([given.device] if given.device != "cpu" else [])])
    torch.set_num_threads(given.threads)
    cases = all_cases()
    patterns = "*" if given.cases == "all" else given.cases
    wanted = [cases[name] for name in chosen(patterns, list(cases), "a case")]
    specs = {spec.name: spec for spec in all_specs(given.runners.split(","))}
    names = chosen(given.engines, list(specs), "an engine")
    if given.device != "cpu":
        names = [name for name in names if specs[name].library in ("transformers", "gpt2sdk")]
    engines = [specs[name] for name in dict.fromkeys([REFERENCE, *names])]
    sizes = {**(SMALL if given.size == "tiny" else SIZES[given.size]), "vocab_size": 50257}
    contest = Contest(given, sizes)
    contest.run(grouped(engines, sizes, 0.8 * available()), wanted)
    return verdict(contest.rows, given.device)


def verdict(rows: Sequence[Mapping[str, object]], device: str) -> int:
    """Say where gpt2sdk's tokens in float32 are not transformers'; 1 for somewhere, on a CPU.

    The kernels of GPUs round differently, so near ties may fall either way there; and so may those
    behind padding, of the ragged list.
    """
    wrong = [
        row["case"]
        for row in rows
        if row["library"] == "gpt2sdk"
        and row["weights"] == "float32"
        and row["case"] != "ragged"
        and row["equal_tokens"] not in (None, 1.0)
    ]
    if wrong:
        print(f"tokens differ from those of {REFERENCE}: {', '.join(map(str, wrong))}")
    return int(bool(wrong) and device == "cpu")


if __name__ == "__main__":
    sys.exit(main())
