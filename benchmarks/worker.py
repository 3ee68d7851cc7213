"""Runs one engine in a process of its own, which is idle while others have their turn.

Reads a JSON object a line on standard input and answers with one; `decode_turns.py` asks. It needs
nothing but what its engine needs, so engines may live in environments of their own.

    python benchmarks/worker.py engine_ctranslate2 '{"folder": "model", "weights": "int8", …}'
"""

import importlib
import json
import os
import sys
from typing import Any


def main() -> None:
    """Say that the engine is there, or why it is not; then answer until nobody asks."""
    module, settings = sys.argv[1], json.loads(sys.argv[2])
    # What a library prints must not stand between answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    try:
        engine = importlib.import_module(module).Engine(**settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, others go on without this engine
        answer({"missing": f"{type(error).__name__}: {error}"[:300]})
        return
    answer(engine.about())
    for line in sys.stdin:
        answer(engine.run(json.loads(line)))


if __name__ == "__main__":
    main()
