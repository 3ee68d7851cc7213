"""Seeds of lines: each of the run's seed and the line's id, and of nothing else."""

import hashlib
import json

LineId = str | int
"""What names a line among all of a batch."""


def id_bytes(line_id: LineId) -> bytes:
    r"""Return an id as bytes; texts and numbers that look alike are two ids.

    >>> id_bytes(5), id_bytes("5"), id_bytes("é")
    (b'5', b'"5"', b'"\\u00e9"')
    """
    return json.dumps(line_id, ensure_ascii=True).encode()


def seed_of(seed: int, line_id: LineId) -> int:
    """Return the seed of a line: the first 63 bits of blake2b over the run's seed and the id.

    The hashed bytes are the run's seed in decimal, a line break, and the id as JSON (ASCII); the
    digest has 8 bytes, read big-endian, without its lowest bit.

    Args:
        seed: The run's seed; any whole number.
        line_id: The line's id.

    >>> seed_of(0, "a")
    8975554039676065716
    >>> seed_of(0, 5) == seed_of(0, "5")
    False
    """
    digest = hashlib.blake2b(str(seed).encode() + b"\n" + id_bytes(line_id), digest_size=8)
    return int.from_bytes(digest.digest()) >> 1
