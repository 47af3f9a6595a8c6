"""Everything that the pipeline refuses on purpose, as a tree.

PipelineError                exit 1: the pipeline says no
├── SourceRejected           ingest: a published file is missing, changed or unreadable
├── SnapshotChanged          ingest, validate: a snapshot is not what its manifest says
├── DataRejected             validate: a month breaks a rule that refuses
├── LeakFound                whoever reads features: a value was known too late
├── FeatureRejected          whoever reads features: a value that the feature cannot mean
├── TooLittleData            features, train, evaluate, monitor: a window holds too few rows
├── ParityFailed             train: the stored model differs from the trained one
├── GateRefused              evaluate: the challenger may not be promoted
├── RegistryRefused          register: no passed verdict for exactly this model
├── ReleaseRefused           register, reproduce: parts of a release do not belong together
├── DataUnavailable          register, reproduce: the DVC remote lacks recorded data
├── GraphFailed              whoever runs the graph: a stage ended, and not by a refusal
├── NotReproduced            reproduce: what was rebuilt is not what was recorded
├── RowsLost                 features: the offline store gave other rows than it was asked for
├── SkewFound                serve: what was served is not what training would have read
├── RolloutRefused           rollout: this challenger, or this moment, may not be rolled out
├── RolledBack               rollout: the challenger was taken out, and why
├── NotPromoted              rollout: no reason to take it out, and none to let it in
├── ServersFailed            rollout: what should serve does not start, or does not answer
├── LabelsRefused            monitor: labels, or requests to join them with, that cannot be right
├── AlertSilent              monitor: a fault was injected, and its alert did not fire or not end
├── TrainingRefused          retrain: rows that nothing may be learned from
├── LedgerRefused            whoever writes the ledger: a transition that lies before the last
├── ArtifactTampered         whoever loads a file: not the recorded one, or not what it should be
├── ArtifactMissing          whoever reads a file that an earlier stage should have written
└── StorageFailed            whoever writes: disk full, folder not writable
UsageError                   exit 2: the call is wrong
├── ConfigError              a key or a value in configs/ is wrong
├── VersionUnknown           the registry has no version or alias of this name
├── DayUnknown               serve: a day that is none, or that has not arrived
├── RequestUnknown           monitor: the log has no such answer, or the year no such flight
├── WrongMonth               retrain: a month that has arrived already, or never will
└── EnvironmentUnfit         no git checkout or commit, or packages that are not the lock's

A message says what, the two numbers or names, and the next command. Any other exception is a bug
and shows its traceback. Paths in a command are `shell_quote`.
"""

import shlex
from pathlib import Path


def shell_quote(path: Path | str) -> str:
    """A path as it can be pasted into a shell, whatever is in its name."""
    return shlex.quote(str(path))


class PipelineError(Exception):
    """The pipeline says no on purpose."""

    exit_code = 1


class SourceRejected(PipelineError):
    """A published file is missing, changed or unreadable."""


class SnapshotChanged(PipelineError):
    """A snapshot on disk is not what its manifest says; snapshots are immutable."""


class DataRejected(PipelineError):
    """A month of data breaks a rule whose failure refuses the month."""


class LeakFound(PipelineError):
    """A feature value was known only at or after the instant of the prediction."""


class FeatureRejected(PipelineError):
    """A feature has a value that it cannot mean: a share above 1, a wind of a thousand miles."""


class TooLittleData(PipelineError):
    """A window of the config holds fewer rows than its use needs."""


class ParityFailed(PipelineError):
    """The stored model does not predict what the trained model predicts."""


class GateRefused(PipelineError):
    """The verdict on the challenger is no."""


class RegistryRefused(PipelineError):
    """The registry takes only a passed verdict for exactly this model and champion."""


class ReleaseRefused(PipelineError):
    """Commit, data, model, feature service and config of a release do not belong together."""


class DataUnavailable(PipelineError):
    """The DVC remote does not hold what was recorded, or cannot be written."""


class GraphFailed(PipelineError):
    """A stage of the graph, or DVC itself, ended otherwise than by a refusal."""


class NotReproduced(PipelineError):
    """A rebuilt version differs from its record by more than is tolerated."""


class RowsLost(PipelineError):
    """A join gave back fewer or more rows than there were requests."""


class SkewFound(PipelineError):
    """Features were served that differ from those that training reads for the same flight and T."""


class RolloutRefused(PipelineError):
    """This challenger, or this moment, may not be rolled out."""


class RolledBack(PipelineError):
    """The challenger was taken out of the traffic; the champion serves as before."""


class NotPromoted(PipelineError):
    """A rollout ended without an alarm and without the evidence that a promotion needs."""


class ServersFailed(PipelineError):
    """A server or the proxy does not start, or does not answer."""


class LabelsRefused(PipelineError):
    """Labels, or requests that they are joined with, that are none or contradict themselves."""


class AlertSilent(PipelineError):
    """A fault was injected and its alert did not fire, or it was repaired and the alert went on."""


class TrainingRefused(PipelineError):
    """Rows of which a part is missing, or whose features are older than they were."""


class LedgerRefused(PipelineError):
    """A transition lies before the last one in the ledger."""


class ArtifactTampered(PipelineError):
    """A file is not the one that was recorded, or not of the kind that belongs in its place."""


class ArtifactMissing(PipelineError):
    """A file that an earlier stage writes is not there."""


class StorageFailed(PipelineError):
    """The disk is full or a folder cannot be written."""


class UsageError(Exception):
    """The call is wrong, not the data."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or a value in configs/ is wrong."""


class VersionUnknown(UsageError):
    """The registry holds no such version of the model, and no such alias."""


class DayUnknown(UsageError):
    """A day, month or instant that is none, or that lies outside what has arrived."""


class RequestUnknown(UsageError):
    """The request log holds no such answer, and the published year no such flight."""


class WrongMonth(UsageError):
    """A month that has arrived already, or that the replayed year does not have."""


class EnvironmentUnfit(UsageError):
    """The surroundings lack something: a git checkout, a commit, the packages of a lock."""
