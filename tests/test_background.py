"""Work for after the response."""

import threading
from functools import partial

import pytest

from lilya.background import BackgroundTask, BackgroundTasks, Task, Tasks


def test_background_names_are_aliases() -> None:
    """Both spellings are the same classes."""
    assert (BackgroundTask, BackgroundTasks) == (Task, Tasks)


async def test_task_awaits_a_coroutine_function_and_threads_another() -> None:
    """A coroutine function runs in the loop's thread, an ordinary function in another one."""
    ran: list[tuple[str, bool]] = []

    def note(name: str, *, loud: bool) -> None:
        ran.append((name.upper() if loud else name, threading.current_thread() is threading.main_thread()))

    async def note_async(name: str, *, loud: bool) -> None:
        note(name, loud=loud)

    await Task(note, "a", loud=True)()
    await Task(note_async, "b", loud=False)()
    assert ran == [("A", False), ("b", True)]


async def test_tasks_run_in_order() -> None:
    """Tasks given at first run before those that are added."""
    ran: list[int] = []
    tasks = Tasks([Task(ran.append, 1)])
    tasks.add_task(ran.append, 2)
    await tasks()
    assert ran == [1, 2]


async def test_tasks_run_all_and_raise_the_one_failure() -> None:
    """A failure does not keep later tasks from running, and is raised as it is."""
    ran: list[int] = []
    with pytest.raises(KeyError, match="first"):
        await Tasks([Task(_fail, KeyError("first")), Task(ran.append, 2)])()
    assert ran == [2]


async def test_tasks_raise_several_failures_as_a_group() -> None:
    """Every failure is in the group, in order."""
    first, second = KeyError("first"), OSError("second")
    with pytest.raises(ExceptionGroup, match="2 of 3 background tasks failed") as caught:
        await Tasks([Task(_fail, first), Task(_pass), Task(_fail, second)])()
    assert caught.value.exceptions == (first, second)


def test_task_names_its_function() -> None:
    """The representation says what will be called."""
    assert repr(Tasks([Task(_pass)])) == "Tasks([Task(_pass)])"
    assert repr(Task(partial(_pass))).startswith("Task(functools.partial(")


async def _fail(error: Exception) -> None:
    raise error


async def _pass() -> None: ...
