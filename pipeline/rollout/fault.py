"""Faults that are injected into a challenger's server on purpose, for demonstrations and drills.

The server itself knows nothing of them: what it asks to predict is wrapped when it is started.
Everything that comes of such a server is called injected, in the ledger too.
"""

import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SLOW_SECONDS = 0.03
"""What a slow server adds to each answer: several times what it takes."""
FAILING_SHARE = 0.2
CRASH_AFTER = 40
"""Requests that a crashing server answers before it is gone."""
BIAS = 0.25
"""What a biased model adds to the log odds."""
EVENING = 17 * 60
"""The minute of the day from which a model that is bad on one slice is so."""
