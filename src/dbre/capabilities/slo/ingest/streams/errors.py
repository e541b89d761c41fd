"""Why a stream cannot be read."""

from dbre.core.errors import Unreachable, UsageError

__all__ = ["StreamUnreachable", "StreamUnusable"]


class StreamUnreachable(Unreachable):
    """The server does not answer, or not as it should; it is tried again."""

    code = "ingest.stream_unreachable"


class StreamUnusable(UsageError):
    """The stream is there but cannot serve: it has to be made otherwise."""

    code = "ingest.stream_unusable"
