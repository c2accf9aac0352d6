"""An error carries its fault, and reads as its message in a traceback."""

import pytest

from services.gateway import errors
from services.gateway.translation.fault import Fault

_KINDS = [
    errors.BadRequest,
    errors.Unauthenticated,
    errors.NotFound,
    errors.Overloaded,
    errors.CaptchaRequired,
    errors.Misconfigured,
    errors.UpstreamRefused,
    errors.UpstreamUnreachable,
]


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_carries_its_fault(kind: type[errors.GatewayError]) -> None:
    fault = Fault(status=418, message="short and stout")
    error = kind(fault)

    assert isinstance(error, errors.GatewayError)
    assert (fault, "short and stout") == (error.fault, str(error))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert set(_KINDS) == set(errors.GatewayError.__subclasses__())
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in _KINDS)
