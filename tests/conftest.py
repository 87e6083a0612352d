"""How the tests run: async tests natively, hypothesis without a wall clock."""

import inspect

import pytest
from hypothesis import HealthCheck, settings

from tests.support.async_tests import run_async, run_hypothesis_examples_async

# Built on the default profile, so that on a CI machine (`CI=true`) hypothesis stays deterministic. No deadline and no
# complaint about slowness: both read the wall clock, and another process may own the processor just then.
settings.register_profile("lilya", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("lilya")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests; leave all others to pytest (None means "not mine")."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        run_hypothesis_examples_async(test)
        return None
    names = inspect.signature(test).parameters
    run_async(test, {name: pyfuncitem.funcargs[name] for name in names})
    return True
