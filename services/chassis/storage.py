"""What every store of ours says when it cannot do its work."""


class StoreUnavailable(Exception):
    """The store did not answer in time, or refused; what was asked may or may not have happened."""


class StoreRefused(StoreUnavailable):
    """The store must not be used as it is. The message says what to change; trying again does not help."""
