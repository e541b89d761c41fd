"""What a proxy has counted since it began."""

from dataclasses import dataclass, field

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """Since the beginning, for all connections."""

    accepted: int = 0
    refused: int = 0  # the server did not take the connection
    starved: int = 0  # times at which no more files could be opened
    bytes: int = 0  # of connections that have ended
    units: int = 0  # queries that were seen
    hits: dict[str, int] = field(default_factory=dict)  # by toxic: connections or queries that it got
    asked: dict[str, int] = field(default_factory=dict)  # by toxic: queries for which it drew

    def hit(self, toxic: str) -> None:
        """A toxic has got one."""
        self.hits[toxic] = self.hits.get(toxic, 0) + 1

    def ask(self, toxic: str) -> None:
        """A toxic drew for one query."""
        self.asked[toxic] = self.asked.get(toxic, 0) + 1

    def as_document(self) -> dict[str, object]:
        """What the API tells."""
        return {
            "accepted": self.accepted,
            "refused": self.refused,
            "starved": self.starved,
            "bytes_of_ended": self.bytes,
            "queries": self.units,
            "hits": dict(self.hits),
            "queries_asked": dict(self.asked),
        }
