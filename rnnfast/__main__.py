"""`python -m rnnfast` is the `rnnfast` command."""

import sys

from rnnfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
