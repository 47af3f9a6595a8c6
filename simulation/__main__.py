"""The command line with simulated traffic: `python -m simulation COMMAND [--OPTION VALUE]`.

It takes every command of `python -m pipeline`, and those that need users who send requests.
"""

import sys

from pipeline.__main__ import OPTIONS as OF_THE_PIPELINE
from pipeline.__main__ import STAGES as OF_PIPELINE
from pipeline.__main__ import Options, main, run_command

COMMANDS = OF_PIPELINE | {
    "serve": "simulation.served_day:run",
    "skew": "simulation.served_day:skew",
    "shadow": "simulation.commands:shadow",
    "canary": "simulation.commands:canary",
    "bluegreen": "simulation.commands:bluegreen",
    "monitor-live": "simulation.alert_demo.demo:monitor_live",
    "loop": "simulation.commands:loop",
    "replay": "simulation.story:replay",
}
_DAY = {"metavar": "DAY", "help": "a day or a month that has arrived: 2013-04-18 or 2013-04"}
_ROLLOUT = {
    "bad": {"metavar": "FAULT", "help": "inject a fault into the challenger's server: slow"},
    "force": {"action": "store_true", "help": "try again what was rolled back"},
}
COMMAND_OPTIONS: Options = OF_THE_PIPELINE | {
    "serve": {"day": _DAY},
    "skew": {"day": _DAY},
    **dict.fromkeys(("shadow", "canary", "bluegreen"), _ROLLOUT),
    "monitor-live": {"fault": {"metavar": "FAULT", "help": "failing, slow, feed or exporter"}},
    "loop": {"until": {"metavar": "DAY", "help": "a day of the year: 2013-06-30"}},
}

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(None, COMMANDS, COMMAND_OPTIONS, "simulation")))
