"""What the sessions of an operation on its target call themselves, so that a person at the server sees whose they are."""

from uuid import UUID

__all__ = ["LONGEST_SESSION_NAME", "planning_name", "session_name"]

LONGEST_SESSION_NAME = 63
"""Bytes: what PostgreSQL keeps of ``application_name``; MySQL keeps 64 of ``program_name``."""

_LONGEST_KIND = 30


def session_name(kind: str, operation_id: UUID, requested_by: str) -> str:
    """``dbre:<kind>:<the end of the id>:<who asked>``, printable ASCII.

    The end of the id, because operations of the same minute begin alike.

    >>> session_name("settings.apply", UUID("0192f3c1-4f2e-7c3a-9d1b-5f6a7b8c9d0e"), "anna")
    'dbre:settings.apply:7b8c9d0e:anna'
    """
    return _plain(f"dbre:{kind[:_LONGEST_KIND]}:{operation_id.hex[-8:]}:{requested_by}")


def planning_name(kind: str, requested_by: str) -> str:
    """``dbre:plan:<kind>:<who asks>``: nothing is stored yet that would have an id."""
    return _plain(f"dbre:plan:{kind[:_LONGEST_KIND]}:{requested_by}")


def _plain(text: str) -> str:
    return "".join(one if " " <= one <= "~" else "?" for one in text[:LONGEST_SESSION_NAME])
