"""What a server allows, and how it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpt2sdk import OptionError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that only this machine reaches."""
MOST_NEW_TOKENS = 16_384
"""As many as a preset may ask for."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What a server allows, and how it runs.

    Attributes:
        host: Where it listens; other than this machine's own only with an `api_key`.
        port: The port; 0 lets the system choose.
        api_key: What clients have to send as `Authorization: Bearer …`; `None` for nothing.
        batch_size: Rows at a time of each model, 1 or more.
        max_queue: Requests that may run or wait at a time; more are answered 429.
        memory: Bytes that keys and values of running rows may take by estimate, for each model;
            `None` for half of what is free when the server starts, in equal parts for the models
            of a device.
        max_body: Bytes of a request.
        max_prompts: Prompts of a request.
        max_prompt_tokens: Tokens of all prompts, texts or options of a request.
        max_rows: Rows of a request: prompts times completions, beams or particles.
        max_new_tokens: Most tokens by which a row may grow, whatever is asked for.
        max_logprobs: How many alternatives of each token may be asked for.
        max_biases: Entries of a `logit_bias`.
        timeout: Seconds after which a request is finished with what it has; `None` for never.
        stall: Seconds for which a client may leave what it is sent unread.
        grace: Seconds that running requests have to finish when the server stops.
        log_prompts: Whether prompts and texts are logged.
        chat_template: A Jinja template of chats, or the name of one of the model's.
        preset: Options that count where a request gives none: data, as `config=` takes it.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = field(default=None, repr=False)
    batch_size: int = 32
    max_queue: int = 512
    memory: int | None = None
    max_body: int = 4 * 2**20
    max_prompts: int = 256
    max_prompt_tokens: int = 131_072
    max_rows: int = 512
    max_new_tokens: int = MOST_NEW_TOKENS
    max_logprobs: int = 20
    max_biases: int = 1_024
    timeout: float | None = None
    stall: float = 60.0
    grace: float = 10.0
    log_prompts: bool = False
    chat_template: str | None = None
    preset: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.api_key is not None and not self.api_key.strip():
            message = "the key is empty: expected some characters, or no key"
            raise OptionError(message, name="api_key")
        if self.api_key is not None:
            # Files end in a newline, and no header can hold one.
            object.__setattr__(self, "api_key", self.api_key.strip())
        if self.host not in LOOPBACK and self.api_key is None:
            message = (
                f"host {self.host!r} is reached from other machines: give the environment variable "
                "GPT2SDK_API_KEY a key that clients send, or listen on 127.0.0.1"
            )
            raise OptionError(message, name="host", value=self.host)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK
