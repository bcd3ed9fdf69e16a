"""The errors and warnings rstime raises: each names the field, the value and the remedy."""

from __future__ import annotations


class RstimeError(Exception):
    """Base of every error that rstime raises on purpose.

    Parameters
    ----------
    field
        What was wrong: a column, an argument, a file.
    problem
        What was found there, with the value.
    remedy
        What the user can do about it.
    """

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        self.field, self.problem, self.remedy = field, problem, remedy
        super().__init__(f"{field}: {problem}." + (f" {remedy}" if remedy else ""))


class DataError(RstimeError, ValueError):
    """The data break a rule that every method relies on."""


class ConfigError(RstimeError, ValueError):
    """An argument or a setting is outside its range."""


class ModelFileError(RstimeError, ValueError):
    """A saved model is missing, damaged or of another version."""


class NotFittedError(RstimeError, RuntimeError):
    """A model was used before it was fitted."""


class DatasetNotFoundError(RstimeError, FileNotFoundError):
    """The files of a data set are not where they were looked for."""


class DownloadError(RstimeError, OSError):
    """A file could not be fetched whole: no connection, an HTTP status, a connection cut short, a full disk."""


class ChecksumError(DownloadError):
    """A fetched file is not the one that was published."""


class PackageError(RstimeError, ImportError):
    """An optional package that a module needs is not installed."""


class RstimeWarning(UserWarning):
    """Something the user should know that does not stop the work."""
