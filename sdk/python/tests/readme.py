"""Runs the Python examples of README.md, in their order, as one program.

The base URL comes from KEYNEST_BASE_URL; the text `your-token-here` stands for
KEYNEST_TOKEN, and nothing else is replaced.
"""

import os
import re
import sys

from . import __name__ as _  # finds the package


def blocks(path):
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^```python\n(.*?)^```$", f.read(), re.M | re.S)


def main(path):
    scope = {"__name__": "__main__"}
    found = blocks(path)
    for number, block in enumerate(found, 1):
        source = block.replace("your-token-here", os.environ["KEYNEST_TOKEN"])
        exec(compile(source, "example %d of %s" % (number, os.path.basename(path)), "exec"), scope)
    print("%d examples ran" % len(found))
    return scope


if __name__ == "__main__":
    main(sys.argv[1])
