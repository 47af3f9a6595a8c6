"""The checks of the command line's exit codes."""

from exercises.workbench.checking import check, expect, holds


def _run_stages(kinds):
    """Beside the solution: run stages that are refused as named; the code, stderr, what ran."""
    import contextlib
    import io
    import sys
    import types

    from pipeline import __main__ as door
    from pipeline.shared import errors

    ran, module = [], types.ModuleType("stages_of_a_check")

    def stage(kind):
        def run():
            ran.append(kind)
            if kind != "done":
                raise getattr(errors, kind)(f"found 3, limit 0; after {kind}")
            return "done"

        return run

    stages = {}
    for number, kind in enumerate(kinds):
        setattr(module, f"run{number}", stage(kind))
        stages[f"stage{number}"] = f"stages_of_a_check:run{number}"
    sys.modules["stages_of_a_check"] = module
    from pipeline.shared import installation

    installation.require_home = installation.name_account = lambda: None
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = door.main([*stages], stages)
        except SystemExit as error:
            code = error.code
    return [code, said.getvalue(), ran]


@check(3)
def test_a_refusal_is_1(subject):
    """CI sees the exit code and nothing else."""
    seen = subject.do(_run_stages, ["GateRefused"])[0]
    expect(seen, 1, [(0, "green though it was refused: the code was lost on its way")])


@check(2)
def test_wrong_usage_is_2(subject):
    """The caller's mistake, which no retry mends."""
    expect(subject.do(_run_stages, ["ConfigError"])[0], 2, [(1, "not every refusal is 1")])


@check(2)
def test_no_stage_runs_after_a_refused_one(subject):
    """What the gate refuses is not registered."""
    code, _, ran = subject.do(_run_stages, ["done", "GateRefused", "done"])
    expect([code, ran], [1, ["done", "GateRefused"]])


@check(1)
def test_what_is_done_is_0(subject):
    """And all stages ran."""
    code, _, ran = subject.do(_run_stages, ["done", "done"])
    expect([code, ran], [0, ["done", "done"]])


@check(1, hidden=True)
def test_a_refusal_says_who_and_why(subject):
    """On standard error: the stage, the kind of refusal, its words."""
    said = subject.do(_run_stages, ["GateRefused"])[1]
    holds(
        said.startswith("stage0: GateRefused: found 3, limit 0"), "who and why", said or "nothing"
    )
