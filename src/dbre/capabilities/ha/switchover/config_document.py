"""``switchover:`` of a cluster in the section ``ha``: what may be in the way of it, and how long each part may take."""

from datetime import timedelta

from pydantic import Field

from dbre.core.config import Document, Duration, Name, Size

__all__ = ["SwitchoverDocument"]

_MAX_LAG_BYTES = 16 << 20
_MIN_FREE_BYTES = 1 << 30


class SwitchoverDocument(Document):
    """Limits of planned changes of primary."""

    prefer: tuple[Name, ...] = Field((), description="instances that should become primary, the best first")
    never: tuple[Name, ...] = Field((), description="instances that must not")
    max_lag: Size | None = Field(None, description="what the candidate may lack of the log before; default: 16MiB")
    max_lag_time: Duration = Field(timedelta(seconds=10), description="how old that may be, where heartbeats tell")
    max_transaction: Duration = Field(timedelta(seconds=30), description="an older transaction of a client is in the way")
    max_client_outage: Duration = Field(
        timedelta(seconds=10), description="for how long an application may be without the primary; judges `clients`"
    )
    min_free_disk: Size | None = Field(
        None, description="room that data and log must have left, where it is seen; default: 1GiB"
    )
    pause: Duration = Field(timedelta(seconds=5), description="how long routes wait for transactions in flight")
    checkpoint: Duration = Field(timedelta(seconds=300), description="how long writing out before it begins may take")
    give_up: Duration = Field(timedelta(seconds=30), description="how long the old primary may take to stop or to close")
    catch_up: Duration = Field(
        timedelta(seconds=10), description="how long the candidate may take for the rest; else the old one goes on"
    )
    promote: Duration = Field(timedelta(seconds=30), description="how long the promotion may take")
    follow: Duration = Field(
        timedelta(seconds=60), description="how long each other instance may take to follow the new primary"
    )

    @property
    def max_lag_bytes(self) -> int:
        """What the candidate may lack of the log before it begins."""
        return _MAX_LAG_BYTES if self.max_lag is None else self.max_lag

    @property
    def min_free_bytes(self) -> int:
        """Room that must be left where data and log are."""
        return _MIN_FREE_BYTES if self.min_free_disk is None else self.min_free_disk
