"""
Calls into a body's receiver that survive it.

A receiver must not raise; one that does has a bug, which costs it its answer and nobody else anything. Only the type
and the place are logged: the text of an exception may quote the upstream's data.
"""

import logging
import traceback
from collections.abc import Callable
from typing import ParamSpec

from services.gateway.upstream.transport import ConnectionLost

P = ParamSpec("P")

_log = logging.getLogger(__name__)


def told(call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> ConnectionLost | None:
    """Make a call; return the failure to end the answer with, if it raised."""
    try:
        call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the connection must be accounted for
        return reader_failed(error)
    return None


def reader_failed(error: Exception) -> ConnectionLost:
    """Report what a receiver raised, and return the failure to end its answer with."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    _log.error("the reader of an upstream's answer failed: %s at %s", type(error).__name__, place.name)
    return ConnectionLost("the reader of the upstream's answer failed")
