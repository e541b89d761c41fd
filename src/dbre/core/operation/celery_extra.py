"""Celery is an extra: who needs it, and does not have it, is told how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbre.core.errors import Unsupported

__all__ = ["needs_celery"]


@contextmanager
def needs_celery() -> Iterator[None]:
    """Around the import of what talks to a broker. Raises: Unsupported, naming the extra, where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dbre"):
            raise
        raise Unsupported(
            f"operations.dispatch is celery, but the Python package {error.name} is not installed",
            hint="pip install 'dbre[celery]', or set operations.dispatch to local",
        ) from error
