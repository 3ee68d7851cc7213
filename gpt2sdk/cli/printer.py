"""What a stream yields, printed as people read it."""

from collections.abc import Iterable, Sequence

from gpt2sdk.cli.terminal import is_watched, write, write_aside
from gpt2sdk.components.records import Completion, Delta

_HEADING = 60
_ECHOED = 400


class Printer:
    """Prints one completion as its text comes, several one after another as each is whole."""

    def __init__(self, prompts: Sequence[str], samples: Sequence[int]) -> None:
        self._prompts = prompts
        self._samples = samples
        self._alone = sum(samples) == 1
        self._written: str | None = None
        self._whole: dict[tuple[int, int], Completion] = {}
        self._printed: set[tuple[int, int]] = set()
        self._next = (0, 0)

    def add(self, delta: Delta) -> None:
        """Print what has become certain."""
        if self._alone:
            self._write(delta.text)
        elif delta.completion is not None:
            self._whole[delta.prompt_index, delta.sample_index] = delta.completion
            while self._next in self._whole:
                self._print(self._next)
                prompt, sample = self._next
                last = sample + 1 == self._samples[prompt]
                self._next = (prompt + 1, 0) if last else (prompt, sample + 1)

    def end(self, completions: Iterable[Completion]) -> None:
        """Print what of these has not been printed yet."""
        if self._alone:
            for completion in completions:
                self._write(completion.text[len(self._written or "") :])
                write("\n")
            return
        for completion in completions:
            key = completion.prompt_index, completion.sample_index
            self._whole[key] = completion
            if key not in self._printed:
                self._print(key)

    def _write(self, text: str) -> None:
        """Print text of the only completion; where someone watches, the prompt before it."""
        if self._written is None:
            self._written = ""
            if is_watched():
                write_aside(_shortened(self._prompts[0], _ECHOED))
        self._written += text
        write(text)

    def _print(self, key: tuple[int, int]) -> None:
        """Print a completion under its number and the beginning of its prompt."""
        prompt, sample = key
        number = (
            f"{prompt + 1}.{sample + 1}" if max(self._samples, default=1) > 1 else f"{prompt + 1}"
        )
        begins = " ".join(self._prompts[prompt].split())
        write_aside(f"--- {number}  {begins:.{_HEADING}}\n")
        write(f"{self._whole[key].text}\n\n")
        self._printed.add(key)


def _shortened(text: str, most: int) -> str:
    """Return a text's end, where it is long.

    >>> _shortened("abcdef", 3)
    '…def'
    """
    return text if len(text) <= most else f"…{text[-most:]}"
