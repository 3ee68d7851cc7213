"""Tokens to text as they come."""

from gpt2sdk import Prompt, TextCriterion, TextEnd
from gpt2sdk.components.records import Row
from gpt2sdk.streaming import Transcript, spell
from gpt2sdk.testing import Letters

LETTERS = Letters("abcd")
END = 4


class Until(TextCriterion):
    stop: str = ""

    def search(self, text, start):
        found = text.find(self.stop, start)
        hold = max((n for n in range(1, len(self.stop)) if text.endswith(self.stop[:n])), default=0)
        return TextEnd(found if found >= 0 else None, hold)


class Halves:
    """Each character is two tokens of one half."""

    def start(self, prompt=()):
        return None

    def step(self, state, token):
        return (token, "") if state is None else (None, "abcd"[state])

    def finish(self, state):
        return "" if state is None else "?"


def transcript(*criteria, decoder=LETTERS):
    out = Transcript(
        decoder, lambda _prompt: [(each.name, each, each.reason) for each in criteria], {}
    )
    out.admit(0, Row(Prompt(0, (0,), eos_token_ids=frozenset([END])), 0, [0]))
    return out


def write(out, tokens):
    for token in tokens:
        out.append([token])


def test_text_is_certain_as_it_is_written():
    out = transcript()
    write(out, [0, 1])

    assert out.certain(0, 0) == "ab"


def test_the_last_tokens_wait_where_they_may_be_taken_back():
    out = transcript()
    write(out, [0, 1, 2])

    assert out.certain(0, 2) == "a"
    assert out.final(0) == "abc"


def test_the_beginning_of_a_stop_string_waits_and_comes_out_when_it_was_none():
    out = transcript(Until(stop="bcd"))
    write(out, [0, 1, 2])
    early = out.certain(0, 0)
    write(out, [0])

    assert (early, out.certain(0, 0)) == ("a", "abca")


def test_a_stop_string_across_tokens_ends_the_text_before_it():
    out = transcript(Until(stop="bc"))
    write(out, [0, 1, 2])

    assert out.rows[0].end == (1, "stop_string")
    assert out.final(0) == "a"
    assert out.certain(0, 0) == "a"


def test_rewinding_takes_an_end_back_and_finds_it_again():
    out = transcript(Until(stop="bc"))
    write(out, [0, 1, 2])
    out.rewind([1])
    taken_back = out.rows[0].end, out.rows[0].text
    write(out, [2])

    assert taken_back == (None, "ab")
    assert out.rows[0].end == (1, "stop_string")


def test_an_end_token_has_no_text():
    out = transcript()
    write(out, [0, END])

    assert out.final(0) == "a"


def test_half_a_character_waits_and_an_unfinished_one_shows_at_the_end():
    out = transcript(decoder=Halves())
    write(out, [0, 0, 1])

    assert out.certain(0, 0) == "a"
    assert out.final(0) == "a?"


def test_copies_write_on_by_themselves():
    out = transcript()
    write(out, [0])
    out.fork([0, 0])
    out.append([1, 2])

    assert [row.text for row in out.rows] == ["ab", "ac"]


def test_spelling_at_once_gives_the_streamed_text():
    assert spell(LETTERS, Prompt(0, (0,)), [1, 2, 3]) == "bcd"
    assert spell(Halves(), Prompt(0, (0,)), [1, 1, 2]) == "b?"


def test_what_was_cut_off_the_prompt_is_no_part_of_the_text():
    out = Transcript(LETTERS, lambda _prompt: [("until", Until(stop="bd"), "stop_string")], {})
    out.admit(0, Row(Prompt(0, (0,), cut=(1, 2)), 0, [0]))
    write(out, [1])
    first = out.rows[0].text
    write(out, [2, 3, 0])
    out.rewind([3])
    write(out, [2, 0])

    assert (first, "a") == ("", out.final(0))
    prompt = Prompt(0, (0,), cut=(1, 2))
    assert "" == spell(LETTERS, prompt, [1])
    assert "db" == spell(LETTERS, prompt, [1, 2, 3, 1])


def test_half_a_character_that_was_cut_off_is_the_rows():
    """The prompt ended with two halves and one: one character of its text is written anew."""
    assert "b?" == spell(Halves(), Prompt(0, (0,), cut=(0, 0, 1)), [0, 0, 1, 1, 2])


def test_what_a_held_token_broke_off_still_waits_for_a_stop_string():
    out = transcript(Until(stop="bd"))
    write(out, [0, 1, 2])

    assert out.certain(0, 1) == "a"


class Until9(TextCriterion):
    """Ends a text before token 9, which has none."""

    def find(self, written):
        return TextEnd(next((place for place, token in written.tokens if token == 9), None))


def test_a_criterion_is_told_of_tokens_without_text_as_long_as_they_stand():
    out = transcript(Until9())
    write(out, [0, 1, 9])

    assert (out.certain(0, 1), out.certain(0, 0), out.final(0)) == ("ab", "ab", "ab")
    assert out.rows[0].end == (2, "stop_string")

    out.rewind([1])
    write(out, [2])

    assert (out.rows[0].end, out.final(0)) == (None, "abc")
