"""Backtracking, against a naive search, and by hand."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import GenerationError, Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer
from gpt2sdk_strategies.backtrack import backtrack
from gpt2sdk_strategies.phrases import Phrases
from gpt2sdk_strategies.trail import Trail

LETTERS = Letters("abcd")
END = 4


def make_generator():
    model = TableModel(END + 1, bias={END: -1.0}, seed=3)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def reference(prompt, phrases, room):
    """Return what a greedy search finds that reads its whole text at every step."""
    model = TableModel(END + 1, bias={END: -1.0}, seed=3)
    hold = max(map(len, phrases))
    tokens, banned, furthest = [], defaultdict(set), 0
    while tokens[-1:] != [END] and len(tokens) < room:
        history = [*prompt, *tokens]
        logits = model.score(model.make_cache(1), [history], [1]).logits[0]
        logits[list(banned[len(tokens)])] = -torch.inf
        tokens.append(int(logits.argmax()))
        text = LETTERS.decode(tokens)
        found = [text.find(phrase) for phrase in phrases if phrase in text]
        if found:
            furthest = max(furthest, len(tokens))
            place = max(min(found), furthest - hold)
            banned = defaultdict(set, {at: out for at, out in banned.items() if at <= place})
            banned[place].add(tokens[place])
            del tokens[place:]
    return tuple(tokens)


phrase_lists = st.lists(st.text("abcd", min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    phrase_lists.filter(lambda phrases: len({each for each in phrases if len(each) == 1}) < 4),
    st.lists(st.text("abcd", min_size=1, max_size=9), min_size=1, max_size=4),
)
def test_a_batch_is_what_a_naive_search_of_each_prompt_is(phrases, prompts):
    options = {"strategy": "backtrack", "banned_phrases": phrases, "temperature": 0.0}
    deltas = list(make_generator().stream(prompts, max_new_tokens=15, batch_size=2, **options))

    made = {each.prompt_index: each.completion for each in deltas if each.completion}
    for place, prompt in enumerate(prompts):
        expected = reference(LETTERS.encode(prompt), phrases, 15)
        assert expected == made[place].tokens
        assert not any(phrase in made[place].text for phrase in phrases)
        joined = "".join(each.text for each in deltas if each.prompt_index == place)
        assert joined == made[place].text


def scripted(*preferences):
    """Make a processor that prefers, at each place, these letters in this order."""

    def script(logits, rows):
        wanted = logits.clone()
        for row, at in enumerate((rows.lengths - rows.prompt_lengths).tolist()):
            for rank, letter in enumerate(preferences[at] if at < len(preferences) else ""):
                wanted[row, LETTERS.encode(letter)] += 100.0 * (9 - rank)
        return wanted

    return script


def written(*preferences, room=None, **options):
    """Return what is written by a greedy row with these preferences."""
    return (
        make_generator()
        .generate(
            "a",
            strategy="backtrack",
            temperature=0.0,
            processors=[scripted(*preferences)],
            max_new_tokens=room or len(preferences),
            **options,
        )
        .text
    )


def test_a_row_goes_back_to_before_the_phrases_first_token():
    # a b c d stands there, b c d is taken back, and b is ruled out at the second place.
    assert "adcd" == written("a", "bd", "c", "d", banned_phrases=["bcd"])


def test_bans_at_one_place_add_up():
    assert "ad" == written("a", "bcd", banned_phrases=["b", "c"])


def test_bans_hold_only_where_they_were_made():
    assert "bcb" == written("ab", "cd", "b", banned_phrases=["ac"])


def test_bans_behind_a_place_end_when_it_changes():
    trail = Trail(Phrases.of(["cd", "ad", "long"]))
    backs = [trail.follow(0, "a"), trail.follow(2, "ac"), trail.follow(3, "acd")]
    assert ([0, 0, 2], {2}) == (backs, trail.banned_next)

    backs = [trail.follow(3, "ad"), trail.follow(1, "b")]
    assert ([2, 0], set()) == (backs, trail.banned_next)


def test_a_phrase_that_ends_the_row_is_taken_back_too():
    assert "abd" == written("a", "b", "cd", banned_phrases=["c"])


def test_truncation_keeps_as_many_tokens_as_it_is_told():
    assert "d" == written("abcd", banned_phrases=["a", "b", "c"], top_k=1)


def test_what_the_prompt_says_does_not_count():
    assert "ab" == written("a", "b", banned_phrases=["aa"])


def test_a_phrase_whose_beginning_is_certain_is_broken_off_later():
    # a b c d, then d d is taken back; with the next a, "bcda" began before what may be taken back.
    preferences = ["a", "b", "c", "da", "ad", "b", "b"]
    text = written(*preferences, banned_phrases=["bcda", "dd"])

    assert "bcda" not in text
    assert "dd" not in text


@pytest.mark.parametrize("phrase", ["AB", "aB"])
def test_case_is_ignored_if_asked_for(phrase):
    assert "ab" == written("a", "bc", banned_phrases=[phrase])
    assert "ac" != written("a", "bc", banned_phrases=[phrase], ignore_case=True)


def allowing(letters):
    def allow(logits, rows):
        ruled_out = [token for token in range(END + 1) if token not in LETTERS.encode(letters)]
        return logits.index_fill(1, torch.tensor(ruled_out), -torch.inf)

    return allow


def test_where_nothing_is_left_the_token_before_goes_too():
    # Of a and b only, a can be followed by nothing: the search has to come back to the start.
    options = {"banned_phrases": ["aa", "ab"], "processors": [allowing("ab"), scripted("ab", "ab")]}
    result = make_generator().generate(
        ["c", "d"], strategy="backtrack", max_new_tokens=4, temperature=0.0, **options
    )

    assert ["bbbb", "bbbb"] == [text[:3] + "b" for text in result.texts]


def test_a_row_that_can_go_neither_on_nor_back_is_an_error():
    options = {"banned_phrases": ["aa", "b"], "processors": [allowing("ab")]}

    with pytest.raises(GenerationError, match="neither on nor back") as caught:
        make_generator().generate("c", strategy="backtrack", max_new_tokens=9, **options)
    assert isinstance(caught.value.__cause__, OptionError)


def test_all_tokens_ruled_out_is_an_error_too():
    generator = Generator(TableModel(4), LETTERS, decoder=LETTERS, eos_token_ids=[])

    with pytest.raises(GenerationError, match="neither on nor back"):
        generator.generate("c", strategy="backtrack", banned_phrases=list("abcd"))


def test_a_processor_that_insists_on_a_banned_token_does_not_hang_it():
    def insisting(logits, rows):
        return torch.where(torch.arange(END + 1) == 0, 1.0, logits - torch.inf)

    with pytest.raises(GenerationError, match="neither on nor back"):
        make_generator().generate(
            "c", strategy="backtrack", banned_phrases=["a"], processors=[insisting]
        )


def test_another_processors_fault_is_told_as_it_is():
    def broken(logits, rows):
        return logits * torch.nan

    with pytest.raises(GenerationError, match="broken left it NaN"):
        make_generator().generate(
            "c", strategy="backtrack", banned_phrases=["a"], processors=[broken]
        )


def test_characters_that_are_cut_into_tokens_are_found():
    tokenizer = tiny_tokenizer()
    generator = Generator(TableModel(tokenizer.vocab_size), tokenizer)
    first, second = tokenizer.encode("é")
    other = tokenizer.encode("e")[0]

    def cut(logits, rows):
        wanted = logits.clone()
        for row, history in enumerate(rows.histories()):
            wanted[row, second if history[-1] == first else first] += 50.0
            wanted[row, other] += 20.0
        return wanted

    options = {"processors": [cut], "max_new_tokens": 4, "temperature": 0.0}
    assert "éé" == generator.generate("a", strategy="backtrack", **options).text
    result = generator.generate("a", strategy="backtrack", banned_phrases="é", **options)
    assert "eee" == result.text[:3]
    assert "é" not in result.text


@pytest.mark.parametrize("drafter", [None, "prompt_lookup"])
def test_phrases_that_begin_and_end_inside_tokens_are_found(drafter):
    tokenizer = tiny_tokenizer()
    generator = Generator(tiny_gpt2(), tokenizer)
    options = {"max_new_tokens": 40, "seed": list(range(6)), "drafter": drafter}
    prompts = ["Once upon a time", "the", "an", "and then", "he", "in the pond"]
    before = generator.generate(prompts, **options).texts
    pairs = {text[at : at + 2] for text in before for at in range(0, len(text) - 1, 5)}
    # Half a character that the length cuts off is shown as the same sign, and is no phrase.
    phrases = sorted(pair for pair in pairs if "\ufffd" not in pair)
    after = generator.generate(prompts, strategy="backtrack", banned_phrases=phrases, **options)

    assert all(any(phrase in text for phrase in phrases) for text in before)
    assert not any(phrase in text for phrase in phrases for text in after.texts)


def test_with_no_phrase_it_samples():
    options = {"max_new_tokens": 20, "seed": 3}
    plain = make_generator().generate(["a", "b"], **options)

    assert (
        plain.texts == make_generator().generate(["a", "b"], strategy="backtrack", **options).texts
    )


def test_text_waits_for_as_many_tokens_as_a_phrase_may_span():
    assert 0 == backtrack.component().hold()
    assert 3 == backtrack.component(banned_phrases=["ab", "abc"]).hold()
    assert 6 == backtrack.component(banned_phrases=["€uro"]).hold()
    # K may be the Kelvin sign, of three bytes; capital ß is two characters, and no form of it.
    assert 2 == backtrack.component(banned_phrases=["kk"], ignore_case=True).hold()
    assert 2 == backtrack.component(banned_phrases=["ß"], ignore_case=True).hold()


@pytest.mark.parametrize("phrases", [[""], ["a", ""], 3])
def test_phrases_are_texts_that_are_not_empty(phrases):
    with pytest.raises(OptionError, match="banned_phrases"):
        make_generator().generate("a", strategy="backtrack", banned_phrases=phrases)


@pytest.mark.parametrize("phrase", [".", "[", "]", "^", "-", "\\", "a-c", "(?i)"])
def test_phrases_are_no_patterns(phrase):
    phrases = Phrases.of([phrase], ignore_case=True)

    assert 2 == phrases.find(f"ab{phrase}", 2)
    assert phrases.find("abc", 0) is None


def test_a_special_token_that_is_banned_is_never_written():
    tokenizer = tiny_tokenizer()
    end = tokenizer.eos_token_id
    model = TableModel(tokenizer.vocab_size, bias={end: 50.0})
    generator = Generator(model, tokenizer, eos_token_ids=[])
    options = {"strategy": "backtrack", "max_new_tokens": 6, "seed": 1}
    free = generator.generate("a", **options).completions[0].tokens
    bound = generator.generate("a", banned_phrases="<|endoftext|>", **options).completions[0].tokens

    assert (True, False, 6) == (end in free, end in bound, len(bound))


def test_a_special_token_among_text_is_no_phrase():
    tokenizer = tiny_tokenizer()
    generator = Generator(TableModel(tokenizer.vocab_size), tokenizer)

    with pytest.raises(OptionError, match=r"'<\|endoftext\|>' is a token without text: expected"):
        generator.generate("a", strategy="backtrack", banned_phrases=["the<|endoftext|>"])
