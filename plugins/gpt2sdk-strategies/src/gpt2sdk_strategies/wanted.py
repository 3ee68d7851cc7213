"""How many completions a prompt is to give, where a strategy makes no more than some number."""

from gpt2sdk import OptionError, Session


def check_wanted(session: Session, most: int, option: str, what: str) -> None:
    """Refuse more completions than there will be.

    Args:
        session: It says how many are wanted.
        most: How many there will be at most.
        option: The option that says so.
        what: What that many of are there, as in `"beams are followed"`.

    Raises:
        OptionError: `num_return_sequences` is larger.
    """
    wanted = session.num_return_sequences
    if wanted > most:
        raise OptionError(
            f"num_return_sequences is {wanted}, but only {most} {what}: raise {option}, or ask "
            "for fewer",
            name="num_return_sequences",
            value=wanted,
            expected=f"1 to {most}",
        )
