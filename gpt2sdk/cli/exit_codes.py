"""What the process says when it ends."""

from typing import Final

FAILED: Final = 1
"""Something raised that is not the user's mistake."""
WRONG_USE: Final = 2
"""An option, a file or a model is wrong or missing."""
INTERRUPTED: Final = 130
"""Ctrl-C: 128 and the number of SIGINT, as shells have it."""
UNREAD: Final = 141
"""Nobody reads the output any more: 128 and the number of SIGPIPE."""
