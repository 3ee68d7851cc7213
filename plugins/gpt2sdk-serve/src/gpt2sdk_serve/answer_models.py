"""What answers look like, for `/openapi.json`; `completion_answer` and the others write them."""

from typing import Any

from pydantic import BaseModel, Field


class ErrorPart(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """What is answered when something is wrong."""

    error: ErrorPart


class UsageBody(BaseModel):
    """What an answer cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


class LogprobsBody(BaseModel):
    """What is told of the tokens of a completion."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float | None] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One completion."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: LogprobsBody | None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    gpt2sdk: dict[str, Any] = Field(default_factory=dict)


class AnswerBody(BaseModel):
    """What answers that were generated have."""

    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    usage: UsageBody
    gpt2sdk: dict[str, Any]


class CompletionBody(AnswerBody):
    """What `/v1/completions` answers."""

    choices: list[CompletionChoice]


class MessageBody(BaseModel):
    """One answer."""

    role: str
    content: str | None
    refusal: str | None = None


class ChatChoice(BaseModel):
    """One answer, and why it ended."""

    index: int
    message: MessageBody
    finish_reason: str | None
    logprobs: dict[str, Any] | None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    gpt2sdk: dict[str, Any] = Field(default_factory=dict)


class ChatBody(AnswerBody):
    """What `/v1/chat/completions` answers."""

    choices: list[ChatChoice]


class ListBody(BaseModel):
    """What answers that were not generated have."""

    object: str
    model: str
    system_fingerprint: str
    usage: UsageBody


class OptionPart(BaseModel):
    """An option of a decision."""

    text: str
    logprob: float | None
    score: float | None
    probability: float


class DecisionPart(BaseModel):
    """Which option is the likeliest behind a prompt."""

    index: int
    best: str
    best_index: int
    options: list[OptionPart]


class DecisionsBody(ListBody):
    """What `/v1/decisions` answers."""

    data: list[DecisionPart]


class ScorePart(BaseModel):
    """How likely a text is."""

    index: int
    tokens: list[int]
    texts: list[str]
    logprobs: list[float | None]
    token_count: int
    bits: float | None
    perplexity: float | None
    bits_per_byte: float | None
    greedy: bool
    top_logprobs: list[dict[str, float | None]] | None = None


class ScoresBody(ListBody):
    """What `/v1/scores` answers."""

    data: list[ScorePart]


class TokenizeBody(BaseModel):
    """What `/tokenize` answers."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeBody(BaseModel):
    """What `/detokenize` answers."""

    prompt: str


class TokenizerBody(BaseModel):
    """What `/tokenizer_info` answers."""

    tokenizer_class: str
    vocab_size: int
    model_max_length: int
    bos_token: str | None
    eos_token: str | None
    eos_token_ids: list[int]
    add_bos_token: bool
    chat_template: str | None


class ModelBody(BaseModel):
    """What is said of a model."""

    id: str
    object: str
    created: int
    owned_by: str
    root: str
    max_model_len: int
    has_chat_template: bool


class ModelsBody(BaseModel):
    """What `/v1/models` answers."""

    object: str
    data: list[ModelBody]


class OptionsBody(BaseModel):
    """What `/options` answers."""

    call: list[dict[str, Any]]
    components: list[dict[str, Any]]


class HealthBody(BaseModel):
    """What `/health` answers."""

    status: str
