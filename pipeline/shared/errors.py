"""The exceptions of refusals on purpose, as a tree.

PipelineError                exit 1: a refusal
├── SourceRejected           ingest: a published file is missing, changed or unreadable
├── SnapshotChanged          ingest, validate: a snapshot is not what its manifest says
├── DataRejected             validate: a month breaks a rule that refuses
├── LeakFound                features, at every read: a value was known too late
├── FeatureRejected          features, at every read: a value outside its feature's range
├── TooLittleData            features, train, evaluate, monitor: a window holds too few rows
├── ParityFailed             train: the stored model differs from the trained one
├── GateRefused              evaluate: the challenger may not be promoted
├── RegistryRefused          register: no passed verdict for exactly this model
├── ReleaseRefused           register, reproduce: parts of a release do not belong together
├── DataUnavailable          register, reproduce: the DVC remote lacks recorded data
├── GraphFailed              the DVC pipeline: a stage failed without a refusal
├── NotReproduced            reproduce: the rebuilt version is not the recorded one
├── RowsLost                 features: the offline store returned other rows than requested
├── SkewFound                serve: served features are not those that training reads
├── RolloutRefused           rollout: this challenger, or this moment, may not be rolled out
├── RolledBack               rollout: the challenger was taken out, and why
├── NotPromoted              rollout: no alarm, but too little evidence for a promotion
├── ServersFailed            rollout: a server or the proxy does not start or respond
├── LabelsRefused            monitor: labels, or requests to join them with, that cannot be right
├── AlertSilent              monitor: an injected fault's alert did not fire, or did not end
├── TrainingRefused          retrain: rows that a model may not be trained on
├── AdoptionRefused          adopt: a table or a model that cannot be taken over as it is
├── LedgerRefused            the rollout ledger: a transition earlier than the last
├── ArtifactTampered         any stage: a file is not the recorded one, or not of its kind
├── ArtifactMissing          any stage: an earlier stage has not written its file
└── StorageFailed            any stage: disk full, folder not writable
UsageError                   exit 2: wrong usage
├── ConfigError              a key or a value in configs/ is wrong
├── VersionUnknown           the registry has no version or alias of this name
├── DayUnknown               serve: not a day, or one that has not arrived
├── RequestUnknown           monitor: no such response in the log, or no such event
├── WrongMonth               retrain: a month that has arrived already, or never will
└── EnvironmentUnfit         no git checkout or commit, or packages that are not the lock's

A message says what, the two numbers or names, and the next command. Any other exception is a bug
and shows its traceback. Paths in a command are quoted by `shell_quote`.
"""

import shlex
from pathlib import Path


def shell_quote(path: Path | str) -> str:
    """Quote a path for a shell command."""
    return shlex.quote(str(path))


class PipelineError(Exception):
    """A refusal on purpose."""

    exit_code = 1


class SourceRejected(PipelineError):
    """A published file is missing, changed or unreadable."""


class SnapshotChanged(PipelineError):
    """A snapshot on disk is not what its manifest says; snapshots are immutable."""


class DataRejected(PipelineError):
    """A month of data fails a rule that refuses the whole month."""


class LeakFound(PipelineError):
    """A feature value was known only at or after the instant of the prediction."""


class FeatureRejected(PipelineError):
    """A feature's value is outside its range: a share above 1, a wind of a thousand miles."""


class TooLittleData(PipelineError):
    """A window of the config holds fewer rows than its use needs."""


class ParityFailed(PipelineError):
    """The stored model does not predict what the trained model predicts."""


class GateRefused(PipelineError):
    """The gate refuses the challenger."""


class RegistryRefused(PipelineError):
    """The registry takes only a passed verdict for exactly this model and champion."""


class ReleaseRefused(PipelineError):
    """Commit, data, model, feature service and config of a release do not belong together."""


class DataUnavailable(PipelineError):
    """The DVC remote does not hold what was recorded, or cannot be written."""


class GraphFailed(PipelineError):
    """A stage of the DVC pipeline, or DVC itself, failed without a refusal."""


class NotReproduced(PipelineError):
    """A rebuilt version differs from its record by more than the tolerance."""


class RowsLost(PipelineError):
    """A join returned fewer or more rows than there were requests."""


class SkewFound(PipelineError):
    """Served features differ from those that training reads for the same request and T."""


class RolloutRefused(PipelineError):
    """This challenger, or this moment, may not be rolled out."""


class RolledBack(PipelineError):
    """The challenger was taken out of the traffic; the champion serves as before."""


class NotPromoted(PipelineError):
    """A rollout ended without an alarm, but without enough evidence for a promotion."""


class ServersFailed(PipelineError):
    """A server or the proxy does not start, or does not respond."""


class LabelsRefused(PipelineError):
    """Labels, or the requests to join them with, are invalid or contradict each other."""


class AlertSilent(PipelineError):
    """An injected fault's alert did not fire, or did not end after the repair."""


class TrainingRefused(PipelineError):
    """Training rows are incomplete, or their features staler than before."""


class AdoptionRefused(PipelineError):
    """A table or a model cannot be right, or a choice is missing that nobody can guess."""


class LedgerRefused(PipelineError):
    """A transition is earlier than the last one in the ledger."""


class ArtifactTampered(PipelineError):
    """A file is not the one that was recorded, or not of the kind that belongs in its place."""


class ArtifactMissing(PipelineError):
    """A file that an earlier stage writes is not there."""


class StorageFailed(PipelineError):
    """The disk is full or a folder cannot be written."""


class UsageError(Exception):
    """Wrong usage, not wrong data."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or a value in configs/ is wrong."""


class VersionUnknown(UsageError):
    """The registry holds no such version of the model, and no such alias."""


class DayUnknown(UsageError):
    """A day, month or instant is invalid, or outside the data that have arrived."""


class RequestUnknown(UsageError):
    """The request log holds no such response, and the published year no such event."""


class WrongMonth(UsageError):
    """A month has arrived already, or is not part of the replayed year."""


class EnvironmentUnfit(UsageError):
    """The environment lacks something: a git checkout, a commit, the packages of a lock."""
