"""Lets the tests import the helpers that lie beside them, however pytest is started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
