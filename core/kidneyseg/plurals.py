"""Numbers of things in sentences for users."""


def counted(count: int, one: str) -> str:
    """A number of things in words: "1 slice", "1,200 slices"; `one` is the word for one of them."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"
