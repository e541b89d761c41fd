"""The conformance suite is collected only where somebody gives a server: it makes backups there."""

import os

from conformance_servers import VARIABLES

collect_ignore_glob = [] if any(os.environ.get(name) for name in VARIABLES) else ["test_*.py"]
