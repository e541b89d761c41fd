"""The one function of libpq that psycopg does not offer: without it a refused login has no SQLSTATE, only a translated text."""

import ctypes
import os
from functools import cache
from pathlib import Path

import psycopg
from psycopg import pq

__all__ = ["set_verbose_errors"]

_DEFAULT, _VERBOSE = 1, 2  # PGVerbosity in libpq-fe.h


def set_verbose_errors(pgconn: pq.abc.PGconn, *, on: bool) -> bool:
    """Let error messages begin with the SQLSTATE, as ``FATAL:  28P01: ...``; False where libpq cannot be reached.

    Source: PostgreSQL manual, 34.12 "Control Functions", PQsetErrorVerbosity.
    """
    library = _loaded_libpq()
    address: int | None = getattr(pgconn, "pgconn_ptr", None)  # public in both implementations, missing in the protocol
    if library is None or address is None:
        return False
    library.PQsetErrorVerbosity(address, _VERBOSE if on else _DEFAULT)
    return True


@cache
def _loaded_libpq() -> ctypes.CDLL | None:
    """The very library that psycopg's binary package has loaded; never another copy, whose structures may differ."""
    if pq.__impl__ != "binary" or not hasattr(os, "RTLD_NOLOAD"):
        return None
    bundled = Path(psycopg.__file__).parent.parent / "psycopg_binary.libs"
    for path in sorted(bundled.glob("libpq-*.so*")):
        try:
            library = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:  # there, but not loaded: not ours
            continue
        library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.PQsetErrorVerbosity.restype = ctypes.c_int
        return library
    return None
