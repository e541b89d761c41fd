"""Chance that replays: every draw follows from the seed, the proxy, the toxic and the number of the connection."""

from random import Random

__all__ = ["Chance"]


class Chance:
    """The draws of one proxy. What other connections do in the meantime changes nothing in those of this one."""

    def __init__(self, seed: int, proxy: str) -> None:
        self._root = f"{seed}|{proxy}"

    def source(self, toxic: str, connection: int) -> Random:
        """Where all draws of one toxic for one connection come from, in order."""
        return Random(f"{self._root}|{toxic}|{connection}")  # noqa: S311 - it has to replay

    def hits(self, toxic: str, connection: int, toxicity: float) -> bool:
        """Whether a toxic of connections has got this one."""
        return toxicity >= 1.0 or self.source(f"{toxic}|whether", connection).random() < toxicity
