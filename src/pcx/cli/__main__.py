"""`python -m pcx.cli` is `pcx`."""

import sys

from ._main import main

sys.exit(main())
