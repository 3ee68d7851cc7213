"""Stream the same beginning with two strategies: `make demo`, or `make demo MODEL=folder`."""

import sys

from gpt2sdk import Generator

PROMPT = "Once upon a time"
CALLS = {
    "sample": {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 150, "seed": 7},
    "beam": {"num_beams": 4, "no_repeat_ngram_size": 3, "stop": ["\n"], "max_new_tokens": 60},
}


def main(model: str = "storyteller") -> None:
    """Stream the prompt's continuation with each strategy, and say what it cost."""
    generator = Generator.from_pretrained(model)
    print(f"{model}: {sum(each.numel() for each in generator.model.parameters()):,} parameters")
    for strategy, options in CALLS.items():
        called = ", ".join(f"{name}={value}" for name, value in options.items())
        print(f"\n--- {strategy}: {called}\n\n{PROMPT}", end="", flush=True)
        stream = generator.stream(PROMPT, strategy=strategy, **options)
        for delta in stream:
            print(delta.text, end="", flush=True)
        usage = stream.result.usage
        print(f"\n\n[{usage.new_tokens} tokens in {usage.seconds:.1f} s]")


if __name__ == "__main__":
    main(*sys.argv[1:])
