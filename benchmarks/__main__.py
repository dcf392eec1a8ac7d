"""`python -m benchmarks`. The workers' processes load this file too, so it imports nothing for them."""

import sys

if __name__ == "__main__":
    from benchmarks.command import main

    sys.exit(main())
