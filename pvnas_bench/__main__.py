"""`python -m pvnas_bench`: the command line."""

import sys

from pvnas_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
