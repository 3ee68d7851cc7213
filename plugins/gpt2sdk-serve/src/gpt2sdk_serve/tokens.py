"""`/tokenize`, `/detokenize` and `/tokenizer_info`: texts to tokens and back."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import Language, Tokenizer
from gpt2sdk_serve.chat_fields import ChatFields
from gpt2sdk_serve.chats import write_prompt
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import read_prompts
from gpt2sdk_serve.reading import read_fields
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState
from gpt2sdk_serve.token_fields import DetokenizeFields, TokenizeFields


async def tokenize(request: Request) -> Response:
    """Return the tokens of a text or a chat."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, TokenizeFields)
    served = state.model(fields.model)
    tokens = await asyncio.to_thread(_encoded, fields, served, state)
    said: dict[str, object] = {
        "count": len(tokens),
        "max_model_len": served.generator.context_length,
        "tokens": tokens,
    }
    if fields.return_token_strs:
        said["token_strs"] = [served.words.name(token) for token in tokens]
    return JSONAnswer(said)


def _encoded(fields: TokenizeFields, served: ServedModel, state: ServerState) -> list[int]:
    if (fields.prompt is None) == (fields.messages is None):
        raise RequestError("expected a prompt or messages, one of both", param="prompt")
    if fields.messages is not None:
        chat = ChatFields.model_validate(
            {
                "messages": fields.messages or [{}],
                "add_generation_prompt": fields.add_generation_prompt,
            }
        )
        return write_prompt(chat, served, state.settings)
    text, language = fields.prompt or "", served.generator.tokenizer
    # Clients ask for the id of an end token by its text; nothing is continued here.
    if (alone := language.special_tokens.get(text)) is not None:
        return [alone]
    if fields.allow_special:
        return _with_bos(language.encode(text, allow_special=True), fields, language)
    return _with_bos(language.encode(text), fields, language)


def _with_bos(tokens: list[int], fields: TokenizeFields, language: Language) -> list[int]:
    bos = language.bos_token_id
    wanted = fields.add_special_tokens is not False and language.adds_bos
    return [bos, *tokens] if wanted and bos is not None and tokens[:1] != [bos] else tokens


async def detokenize(request: Request) -> Response:
    """Return the text of tokens; special ones are spelled out."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, DetokenizeFields)
    served = state.model(fields.model)
    if fields.tokens == []:
        return JSONAnswer({"prompt": ""})
    found = read_prompts(fields.tokens, served, state.settings, "tokens")
    if isinstance(found.written[0], str) or not found.single:
        raise RequestError("tokens is no list of token ids", param="tokens")
    return JSONAnswer({"prompt": served.generator.tokenizer.decode(found.written[0])})


async def tokenizer_info(request: Request) -> Response:
    """Say what the tokenizer is: its end tokens, and its chat template if it has one."""
    state: ServerState = request.app.state.server
    served = state.model(request.query_params.get("model"))
    language = served.generator.tokenizer
    spelled = {token: text for text, token in language.special_tokens.items()}
    templates = language.chat_templates if isinstance(language, Tokenizer) else {}
    template = state.settings.chat_template
    return JSONAnswer(
        {
            "tokenizer_class": type(language).__name__,
            "vocab_size": served.generator.model.vocab_size,
            "model_max_length": served.generator.context_length,
            "bos_token": spelled.get(_id(language.bos_token_id)),
            "eos_token": spelled.get(_id(language.eos_token_id)),
            "eos_token_ids": sorted(served.generator.eos_token_ids),
            "add_bos_token": language.adds_bos,
            "chat_template": template if template is not None else templates.get("default"),
        }
    )


def _id(token: int | None) -> int:
    return -1 if token is None else token
