"""`python -m expert` is the `expert` command."""

import sys

from expert.cli import main

sys.exit(main())
