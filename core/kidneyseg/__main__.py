"""`python -m kidneyseg` is the `kidneyseg` command."""

import sys

from kidneyseg.cli import main

sys.exit(main())
