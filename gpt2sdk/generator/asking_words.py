"""What other programs call the arguments with which a model is asked about texts.

Of lm-evaluation-harness, minicons, transformers' pipelines, evaluate, SGLang and guidance.
"""

from collections.abc import Mapping
from typing import Final

from gpt2sdk.elsewhere import Elsewhere, by_name, row

_NO_CONFIG: Final = (
    row(
        "config record preset generation_config",
        "",
        "presets and records are for generate, stream and explain, and for detect: nothing is "
        "drawn here",
    ),
    row(
        "engine",
        "",
        "there is nothing to set: it runs at once and by itself",
    ),
    row(
        "batch_size max_batch_size",
        "",
        "there is nothing to set: texts are batched by their tokens",
    ),
)

SCORE_WORDS: Final[Mapping[str, Elsewhere]] = by_name(
    (
        *_NO_CONFIG,
        row(
            "texts input inputs input_ids string strings content continuation continuations "
            "predictions data",
            "text",
            "text is the first argument: a text, a list of token ids, or a list of such",
        ),
        row(
            "prompt prompts prefix prefixes preamble contexts prefix_ids",
            "context",
            "context is what stands before, and is not scored itself",
        ),
        row(
            "max_length max_seq_len max_seq_length n_ctx context_length block_size",
            "window",
            "window is the most tokens that a prediction sees",
        ),
        row(
            "step overlap doc_stride",
            "stride",
            "stride is how many tokens are scored with each window but the first",
        ),
        row(
            "add_special_tokens add_bos add_bos_token prepend_bos add_start_token bow_correction",
            "bos",
            "bos=False leaves the bos token out",
        ),
    )
)
"""Arguments of `score`."""

CHOOSE_WORDS: Final[Mapping[str, Elsewhere]] = by_name(
    (
        *_NO_CONFIG,
        row(
            "prompts input inputs input_ids text texts context contexts question query sequences",
            "prompt",
            "prompt is the first argument: a text, a list of token ids, or a list of such",
        ),
        row(
            "choices choice candidates labels candidate_labels classes continuations "
            "continuation targets answers endings completions regex_choice guided_choice",
            "options",
            "options is the second argument: a list of texts or token ids, or one for each prompt",
        ),
        row(
            "choices_method normalize norm length_normalization length_normalized reduction",
            "normalization",
            'normalization is "sum", "token" or "byte"',
        ),
    )
)
"""Arguments of `choose`."""

DETECT_WORDS: Final[Mapping[str, Elsewhere]] = by_name(
    (
        row(
            "texts input_ids tokenized_text",
            "text",
            "text is the first argument: a text, token ids, a list of such, or a result",
        ),
    )
)
"""Arguments of `detect`."""

PEEK_WORDS: Final[Mapping[str, Elsewhere]] = by_name(
    (
        row(
            "config record preset",
            "",
            "it takes options one by one, or a dictionary: next_token(prompt, **options)",
        ),
        row(
            "engine cancel",
            "",
            "there is nothing to set: it runs at once and by itself",
        ),
        row(
            "logprobs top top_n top_tokens top_logprobs num_logprobs n_probs top_n_tokens k count",
            "n",
            "n says how many of the likeliest tokens to name (on the command line --top)",
        ),
    )
)
"""Arguments of `next_token`."""
