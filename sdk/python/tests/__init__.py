"""Tests of the package: `python3 -m unittest` in the folder above, nothing to install."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src"))
