"""What each vault says of itself, for whoever finds it and has none of our programs."""

from importlib.resources import files

__all__ = ["readme_text"]


def readme_text() -> str:
    """The text of ``README.txt``."""
    return files(__package__ or "").joinpath("readme.txt").read_text(encoding="utf-8")
