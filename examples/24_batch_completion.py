"""Complete a file of prompts: JSONL in, JSONL out, each line as soon as it is ready.

Run it: python examples/24_batch_completion.py [MODEL [PROMPTS.jsonl OUT.jsonl]]
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator

OPENINGS = ("Once upon a time", "The king", "A cat", "A poor woodcutter", "One day", "Far away")


def complete(gen: Generator, prompts: Path, out: Path) -> None:
    """Write a completion for each prompt, in the order in which they are finished.

    A line of the input is an object with `prompt` and, if it likes, `id` and `max_new_tokens`.
    """
    lines = prompts.read_text(encoding="utf-8").split("\n")
    orders = [json.loads(line) for line in lines if line.strip()]
    # Eight rows are at work; one that is finished gives its place to the next prompt.
    stream = gen.stream(
        [order["prompt"] for order in orders],
        max_new_tokens=[order.get("max_new_tokens", 40) for order in orders],
        batch_size=8,
        temperature=0.8,
        top_p=0.95,
        seed=7,
    )
    with out.open("w", encoding="utf-8") as file:
        for delta in stream:
            if (done := delta.completion) is not None:
                name = orders[done.prompt_index].get("id", done.prompt_index)
                record = {"id": name, "text": done.text, "finish_reason": done.finish_reason}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
    usage = stream.result.usage
    print(f"{len(orders)} completions, {usage.new_tokens / usage.seconds:,.0f} tokens/s")


if __name__ == "__main__":
    model, *paths = sys.argv[1:] or ["storyteller"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        given, out = map(Path, paths or (folder / "prompts.jsonl", folder / "out.jsonl"))
        if not paths:
            orders = [{"prompt": text, "max_new_tokens": 10 + len(text)} for text in OPENINGS * 4]
            given.write_text("\n".join(map(json.dumps, orders)), encoding="utf-8")
        complete(Generator.from_pretrained(model), given, out)
        print(*out.read_text(encoding="utf-8").split("\n")[:6], sep="\n")
