"""An alert as it happens: real servers, real traffic, a real Prometheus, and an injected fault.

Hours become minutes: every window and every `for` is divided by one number, no limit is changed.
After the fault its alert must fire; after the repair the alert must end.
"""

import time

from pipeline.monitor.operations.alerts import RULES
from pipeline.rollout.state import hold_rollout
from pipeline.shared.errors import ConfigError, EnvironmentUnfit
from pipeline.shared.processes import exit_on_signals
from pipeline.shared.programs import installing, locate_program
from pipeline.usecase.chosen import USECASE
from simulation.alert_demo.scene import Scene
from simulation.alert_demo.setting import FACTOR, scene

FAULT_ALERTS = {
    "failing": "ErrorBudgetBurnsFast",
    "slow": "SlowAnswers",
    "missing": "MissingFeatures",
    "feed": "StaleFeatures",
    "exporter": "SignalsMissing",
}
"""The faults, each with the alert that it must fire."""
_HEALTHY_SECONDS = 8.0


def monitor_live(fault: str = "failing") -> str:
    """Inject a fault into real servers, and see its alert fire and end in a real Prometheus.

    Raises:
        AlertSilent: it did not fire, or did not end after the repair.
        ConfigError: there is no such fault.
        EnvironmentUnfit: Prometheus or Alertmanager is not installed.
        RolloutRefused: a rollout is in progress.
    """
    if fault not in FAULT_ALERTS:
        raise ConfigError(
            f"{fault!r} is none of the {len(FAULT_ALERTS)} faults that can be injected: "
            f"{', '.join(FAULT_ALERTS)}; as in `make monitor-live FAULT=slow`"
        )
    USECASE.require_event_time()
    programs = {name: program(name) for name in ("prometheus", "alertmanager")}
    with hold_rollout(), exit_on_signals(), scene(programs) as here:
        return _play(here, fault)


def program(name: str) -> str:
    """The path of a program.

    Raises:
        EnvironmentUnfit: it is not installed; names its package.
    """
    if (found := locate_program(name)) is None:
        raise EnvironmentUnfit(
            f"there is no {name} here, and none comes with the lock: `{installing([name])}`, end "
            "the service that it may start, and run `make monitor-live`"
        )
    return found


def _play(scene: Scene, fault: str) -> str:
    """Run the demo healthy, with the fault and repaired; reports how long each alert took."""
    name = FAULT_ALERTS[fault]
    scene.say(f"every window and `for` of {RULES} is divided by {FACTOR}, no limit changed")
    scene.live_for(_HEALTHY_SECONDS)
    scene.report("sound")
    if firing := sorted(scene.states):
        scene.say(f"before any fault: {', '.join(firing)}")
    scene.until(lambda: name not in scene.states, f"{name} was active before any fault, and stayed")
    scene.say(f"fault injected: {fault}")
    began = time.monotonic()
    mend = scene.inject(fault)
    scene.until(lambda: scene.states.get(name) == "firing", f"{name} did not fire")
    fired = time.monotonic() - began
    scene.until(
        lambda: scene.sink.is_notified(name, "firing"), f"no receiver was notified of {name}"
    )
    scene.report("with the fault")
    scene.say("repaired")
    began = time.monotonic()
    mend()
    scene.until(lambda: name not in scene.states, f"{name} did not end")
    ended = time.monotonic() - began
    scene.until(
        lambda: scene.sink.is_notified(name, "resolved"), "no receiver was notified of its end"
    )
    return (
        f"{fault}: {name} fired {fired:.0f} s after the fault and ended {ended:.0f} s after the "
        f"repair, {FACTOR} times faster than in service; {scene.sink.receiver(name)} was notified "
        f"of both; {scene.requests_sent:,} requests"
    )
