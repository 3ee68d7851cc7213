"""What goes wrong with a batch, besides bad options and lines."""

import errno

from gpt2sdk import GPT2SDKError

DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
"""What a full or broken disk says."""


class BatchError(GPT2SDKError, RuntimeError):
    """A batch cannot go on; what was done is kept, and the same call goes on from there.

    Attributes:
        done: How many lines are done and kept.
    """

    def __init__(self, message: str, *, done: int = 0) -> None:
        super().__init__(message)
        self.done = done
