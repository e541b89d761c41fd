"""Oracle RMAN as programs: ``rman`` and ``sqlplus``. Written from the manuals and never run on a server: not proved."""

from dbre.tools.rman.repository import RmanRepository

__all__ = ["RmanRepository"]
