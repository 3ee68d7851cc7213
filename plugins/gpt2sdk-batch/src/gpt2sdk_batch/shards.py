"""A part of a batch: every n-th line."""

from dataclasses import dataclass

from gpt2sdk import OptionError


@dataclass(frozen=True, slots=True)
class LineShard:
    """The lines whose number leaves a remainder.

    Long lines that stand together are spread, and the count of lines need not be known.

    Attributes:
        number: The remainder, from 0.
        count: By what numbers are divided.
    """

    number: int = 0
    count: int = 1

    def indices(self, lines: int) -> range:
        """Return its lines.

        >>> list(LineShard(1, 3).indices(8))
        [1, 4, 7]
        """
        return range(self.number, lines, self.count)


def read_shard(written: str | tuple[int, int] | LineShard | None) -> LineShard:
    """Read which part of a batch is to be done.

    Args:
        written: `"i/n"` or a pair, counting from 0: of four, 0/4 to 3/4. `None` for all.

    Raises:
        OptionError: It is none of these.

    >>> read_shard("3/4"), read_shard(None)
    (LineShard(number=3, count=4), LineShard(number=0, count=1))
    """
    if written is None or isinstance(written, LineShard):
        return written or LineShard()
    parts = written.split("/") if isinstance(written, str) else list(map(str, written))
    if len(parts) == 2 and all(each.strip().isdecimal() for each in parts):
        number, count = map(int, parts)
        if number < count:
            return LineShard(number, count)
        if number == count > 0:
            message = (
                f"shard {written}: shards are counted from 0: 0/{count} to {count - 1}/{count}"
            )
            raise OptionError(message, name="shard", value=written)
    message = f"shard is {written!r:.60}, expected i/n, counted from 0: of four, 0/4 to 3/4"
    raise OptionError(message, name="shard", value=written)
