"""What can go wrong in training.

TrainError
  DataError        images or their manifest cannot be used
  ResumeError      a run's state is missing, damaged, or of another configuration
  Diverged         a loss became NaN or infinite; says which
"""


class TrainError(Exception):
    """Base of every error that the train package raises on its own account."""


class DataError(TrainError):
    """Images or their manifest cannot be used."""


class ResumeError(TrainError):
    """A run cannot be continued from the state that was found."""


class Diverged(TrainError):
    """A loss became NaN or infinite."""
