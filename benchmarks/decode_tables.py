"""Tables of `results/decode.json`: what `bench_decode.py` found."""

from collections.abc import Mapping, Sequence

from tables import MISSING, Row, middle, shown, table, with_spread

COUNTS = (1, 8, 32)
TIMES = "times_transformers_float32"


class Decoded:
    """The record, row by row."""

    def __init__(self, record: Mapping[str, object]) -> None:
        self.record = record
        rows = record["rows"]
        self.rows: Sequence[Row] = rows if isinstance(rows, list) else []
        self.found = {(str(row["case"]), str(row["engine"])): row for row in self.rows}
        self.engines = list(dict.fromkeys(str(row["engine"]) for row in self.rows))

    def row(self, case: str, engine: str) -> Row | None:
        """Return what an engine did at a case."""
        return self.found.get((case, engine))


def machine(decoded: Decoded) -> str:
    """Say what it was measured on."""
    found = decoded.record["machine"]
    if not isinstance(found, dict):
        return ""
    peers = decoded.record.get("peers")
    versions = {**found["versions"], **(peers if isinstance(peers, dict) else {})}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    sets = ", ".join(found["instruction_sets"])
    left_out = decoded.record.get("left_out") or {}
    missing = (
        f" Not there: {', '.join(left_out)}." if isinstance(left_out, dict) and left_out else ""
    )
    rounds = min(int(str(row["rounds"])) for row in decoded.rows)
    return (
        f"Measured on {found['processor']} ({sets}), {found['cores']} cores, "
        f"{found['threads']} threads, {rounds} or more rounds; {named}; commit "
        f"{found['commit']}.{missing}"
    )


def decoding(decoded: Decoded) -> str:
    """Times transformers in float32, with 1, 8 and 32 rows."""
    head = ["engine", *(f"{count} row{'s' * (count > 1)}" for count in COUNTS)]
    lines = [
        [
            engine,
            *(with_spread(decoded.row(f"rows-{count}", engine), TIMES) for count in COUNTS),
        ]
        for engine in decoded.engines
        if decoded.row("rows-1", engine)
    ]
    return table(head, lines)


def shares(decoded: Decoded) -> str:
    """How near a step is to a plain read of what it reads, in percent."""
    head = ["engine", "bytes a step reads, MB", "read at, GB/s"]
    head += [f"{count} row{'s' * (count > 1)}" for count in COUNTS]
    lines = []
    for engine in decoded.engines:
        one = decoded.row("rows-1", engine)
        seconds = middle(one, "read_seconds")
        if one is None or seconds is None:
            continue
        nbytes = float(str(one["read_bytes"]))
        lines.append(
            [
                engine,
                f"{nbytes / 1e6:.0f}",
                f"{nbytes / seconds / 1e9:.1f}",
                *(
                    shown(middle(decoded.row(f"rows-{count}", engine), "share_of_read"), "{:.0%}")
                    for count in COUNTS
                ),
            ]
        )
    return table(head, lines)


def budget(decoded: Decoded) -> str:
    """Where a step's time goes, in milliseconds: the read, the model beyond it, and the loop."""
    head = ["engine", "rows", "read", "the model beyond", "the loop", "a step"]
    lines = []
    for count in COUNTS:
        for engine in decoded.engines:
            row = decoded.row(f"rows-{count}", engine)
            read, alone, loop, step = (
                middle(row, f"{part}_seconds") for part in ("read", "pass", "loop", "step")
            )
            if read is None or alone is None or loop is None or step is None:
                continue
            parts = (read, alone - read, loop, step)
            lines.append([engine, str(count), *(f"{1e3 * part:.2f}" for part in parts)])
    return table(head, lines)


def others(decoded: Decoded) -> str:
    """Times transformers in float32, at whatever else was done."""
    names = [str(row["case"]) for row in decoded.rows]
    cases = [name for name in dict.fromkeys(names) if not name.startswith("rows-")]
    lines = [
        [engine, *(with_spread(decoded.row(case, engine), TIMES) for case in cases)]
        for engine in decoded.engines
        if any(decoded.row(case, engine) for case in cases)
    ]
    return table(["engine", *cases], lines)


def cost(decoded: Decoded, quality: Sequence[Row]) -> str:
    """Speed as a ratio to transformers in float32, and the loss of quality in percent.

    Args:
        decoded: The record of decoding.
        quality: The rows of `quantized_quality.json`.
    """
    words = {"int8, 8-bit activations": "int8-a8", "int4, groups of 32": "int4-g32"}
    lines = []
    for row in quality:
        weights = str(row["weights"])
        loss = f"{float(str(row['loss_percent'])):.2f} %"
        engines = [
            engine
            for engine in decoded.engines
            if engine.startswith("gpt2sdk") and engine.split()[-1] == words.get(weights, weights)
        ]
        for engine in engines or [""]:
            runner = f", {engine.split()[1]}" if engine else ""
            times = [middle(decoded.row(f"rows-{count}", engine), TIMES) for count in COUNTS]
            speeds = [shown(each, "{:.1f}×") if each else MISSING for each in times]
            lines.append([f"{weights}{runner}", *speeds, loss])
    head = [f"{count} row{'s' * (count > 1)}" for count in COUNTS]
    return table(["weights", *head, "loss of quality"], lines)
