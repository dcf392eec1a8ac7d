"""`python -m benchmarks`. Nothing is imported for the workers' processes, which load this file too."""

import sys

if __name__ == "__main__":
    from benchmarks.command import main

    sys.exit(main())
