"""``python -m dbre`` is the command ``dbre``."""

import sys

from dbre.app import main

if __name__ == "__main__":
    sys.exit(main())
