"""Write the reference pages that come from the program itself, so that they cannot say anything else."""

import argparse
import sys
from pathlib import Path

import api_reference
import cli_reference

from dbre.testing import matrix

FOLDER = Path(__file__).parent.parent / "docs/reference"
PAGES = {"cli.md": cli_reference.page, "http-api.md": api_reference.page, "engines.md": matrix.page}


def main() -> int:
    """Write the pages, or with ``--check`` name those that are not what they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and end with 1 where a page is out of date")
    only_check: bool = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not only_check:
            path.write_text(text, encoding="utf-8")
            print(f"written: docs/reference/{name}")
    if stale and only_check:
        print(f"out of date: {', '.join(stale)}; run: .venv/bin/python scripts/reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
