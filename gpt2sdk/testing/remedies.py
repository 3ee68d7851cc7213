"""What an author does about each broken promise."""

from collections.abc import Mapping
from typing import Final

REMEDIES: Final[Mapping[str, str]] = {
    "value": "Give the class fields only, of types that hash, and leave model_config as it is.",
    "json": "Take fields of numbers, texts and tuples of them; convert in a BeforeValidator.",
    "wrong_values_are_refused": 'Keep extra="forbid", and bounds in the field: Field(ge=0.0).',
    "name_and_documentation": "Write a docstring, and Field(description=…) for every option.",
    "logits_come_out": "Return a new tensor of the shape and dtype of the logits that are given.",
    "nothing_is_nan": (
        "Some logits are -inf: leave them out of sums and means, and take inf - inf for NaN."
    ),
    "tokens_ruled_out_stay_out": (
        "End with .where(logits.isfinite(), logits): what is -inf stays so."
    ),
    "a_token_is_left": "Keep each row's likeliest token, as min_tokens_to_keep does.",
    "a_row_without_tokens_stays_so": (
        "Let a row that is all -inf through: amax and softmax make NaN of it."
    ),
    "the_neutral_value_changes_nothing": (
        "Return the logits where the first field is at its default, or take a default that "
        "means off."
    ),
    "tokens_come_out": "Return one int64 token id for each row, with a finite logit.",
    "noise_seldom_changes_the_token": "Draw with rows.race(logits).",
    "logits_are_not_changed_in_place": (
        "Use operations without an underscore, such as masked_fill, scatter and where."
    ),
    "a_row_alone_is_as_in_a_batch": (
        "Take nothing over dimension 0: each row from its own logits, history and random numbers."
    ),
    "rows_may_stand_in_any_order": "Keep nothing by a row's place: session.per_row follows rows.",
    "padding_is_ignored": (
        "Read a row's tokens up to rows.lengths only; behind that anything may stand."
    ),
    "the_same_again": (
        "Draw from rows.uniform() and rows.race(), and keep nothing from call to call."
    ),
    "global_random_numbers_are_left_alone": "Draw from rows.uniform() and rows.race().",
    "nothing_waits_for_the_device": (
        "Use tensor operations in place of item, tolist, nonzero and if; host data are in "
        "rows.histories()."
    ),
    "memory_follows_the_rows": "Keep memory in session.per_row or per_row_tensor, made in start.",
    "copies_have_memories_of_their_own": "Return a new value from per_row's step, or give copy=.",
    "beams_are_as_if_each_were_read_anew": (
        "Keep memory in session.per_row or per_row_tensor, not by rows.index."
    ),
    "a_prompt_alone_is_as_among_others": (
        "Make a row's part depend on that row alone, and keep nothing on self."
    ),
    "drafts_change_nothing": (
        "Count tokens in per_row's step, not calls: rows may take several tokens at once."
    ),
    "a_mask_comes_out": (
        "Return a bool tensor with one entry for each row, and give the class a reason."
    ),
    "the_neutral_value_ends_nothing": "End no row where the first field is at its default.",
    "ends_are_inside_the_text": (
        "Return TextEnd(end, hold) with start <= end <= len(text), hold <= len(text) - start."
    ),
    "text_ends_alike_however_it_is_cut": (
        "Hold back what may still become an end: TextEnd(None, hold)."
    ),
    "nothing_leaks": "Hold back what may still become an end: TextEnd(None, hold).",
    "the_neutral_value_ends_no_text": (
        "Return TextEnd(None) where the first field is at its default."
    ),
    "proposals_come_out": (
        "Return int64 ids of the shape (rows, k), with -1 behind the last proposal."
    ),
    "proposals_change_nothing": "Only read the rows; what is proposed changes no text.",
    "it_comes_to_an_end": "Append to running rows only, and keep one row for each prompt at least.",
    "several_completions_are_given": (
        "Fork session.num_return_sequences rows of a prompt, or refuse more than one by name."
    ),
    "streams_are_what_is_generated": (
        "Say with hold= how many last tokens may be taken back; None where all may."
    ),
    "processors_are_minded": "Choose from session.process(logits).",
    "end_tokens_end": "Let session.append end rows, and give finished ones -1.",
    "equal_seeds_give_equal_texts": "Draw with session.choose, or with the rows' uniform and race.",
    "what_draws_says_so": "Leave draws=True where anything is drawn.",
    "independent_rows_are": "Declare rows_independent=True only where no row looks at another.",
    "detections_come_out": "Return a Detection with a p-value, of the tokens behind start.",
    "texts_without_a_mark_are_seldom_found": (
        "Take the p-value from the distribution of the statistic in texts without a mark."
    ),
    "what_stood_before_is_not_judged": "Judge tokens from start on; those before are context.",
    "the_same_detection_again": "Keep nothing from text to text.",
}
"""By a check's title, without `check_`."""
