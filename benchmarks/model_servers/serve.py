"""A peer in a process of its own: `python serve.py bare_asgi`, in whichever environment it needs.

BentoML and MLServer have commands of their own, which load their modules.
"""

import importlib
import sys

if __name__ == "__main__":
    importlib.import_module(sys.argv[1]).main()
