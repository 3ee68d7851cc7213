"""A fair lock: in order, re-entrant, and whole after a fork."""

import os
import threading
import time

import pytest

from gpt2sdk.session.fair_lock import FairLock


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def in_child(work):
    """Fork, and return whether the work returned true in the child."""
    child = os.fork()
    if not child:
        done = False
        try:
            done = bool(work())
        finally:
            os._exit(0 if done else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def until(condition):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 20
        time.sleep(0.001)


def test_threads_get_their_turns_in_the_order_in_which_they_came():
    lock, order, threads = FairLock(), [], []

    def come(number):
        with lock:
            order.append(number)

    with lock:
        for number in range(8):
            threads.append(in_thread(lambda number=number: come(number)))
            until(lambda number=number: lock.waiting == number + 1)
    for thread in threads:
        thread.join(20)

    assert order == list(range(8))


def test_whoever_has_just_let_go_does_not_overtake_those_who_wait():
    lock, waited = FairLock(), threading.Event()
    lock.acquire()
    thread = in_thread(lambda: lock.acquire() and waited.set())
    until(lambda: lock.waiting)
    lock.release()

    assert not lock.acquire(timeout=0.05)
    assert waited.wait(20)
    thread.join(20)


def test_a_thread_may_enter_again_and_has_to_leave_as_often():
    lock, came = FairLock(), threading.Event()
    with lock, lock:
        thread = in_thread(lambda: lock.acquire() and came.set())
        until(lambda: lock.waiting)
    thread.join(20)

    assert came.is_set()


def test_whoever_no_longer_waits_gets_no_turn():
    lock = FairLock()
    with lock:
        gone = []
        thread = in_thread(lambda: gone.append(lock.acquire(timeout=0.01)))
        thread.join(20)
        assert gone == [False]

    assert lock.acquire(timeout=1.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_for_the_turn_of_another_thread_and_the_child_has_it_free():
    lock, entered, state = FairLock(), threading.Event(), []

    def work():
        with lock:
            state.append("half")
            entered.set()
            time.sleep(0.1)
            state.append("whole")

    thread = in_thread(work)
    assert entered.wait(20)
    assert in_child(lambda: state == ["half", "whole"] and lock.acquire(timeout=1.0))
    thread.join(20)
    assert lock.acquire(timeout=1.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_keeps_the_turn_in_which_it_was_forked_and_hands_it_on():
    lock = FairLock()

    def leave():
        lock.release()
        taken = []
        in_thread(lambda: taken.append(lock.acquire(timeout=1.0))).join(20)
        return taken == [True]

    with lock:
        assert in_child(leave)
