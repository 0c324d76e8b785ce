"""The smallest tool: what is left of a call's time is ours."""


def answer(question: str) -> int:
    """The length of the question."""
    return len(question)
