"""Turns: in order, re-entrant, and whole after a fork."""

import os
import threading
import time

import pytest

from gpt2sdk.session.turns import Turns


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 20
        time.sleep(0.001)


def test_threads_get_their_turns_in_the_order_in_which_they_came():
    turns, order, threads = Turns(), [], []

    def come(number):
        with turns:
            order.append(number)

    with turns:
        for number in range(8):
            threads.append(in_thread(lambda number=number: come(number)))
            until(lambda: len(turns._waiting) == number + 1)
    for thread in threads:
        thread.join(20)

    assert order == list(range(8))


def test_whoever_has_just_let_go_does_not_overtake_those_who_wait():
    turns, waited = Turns(), threading.Event()
    turns.acquire()
    thread = in_thread(lambda: turns.acquire() and waited.set())
    until(lambda: turns._waiting)
    turns.release()

    assert not turns.acquire(timeout=0.05)
    assert waited.wait(20)
    thread.join(20)


def test_a_thread_may_enter_again_and_has_to_leave_as_often():
    turns, came = Turns(), threading.Event()
    with turns, turns:
        thread = in_thread(lambda: turns.acquire() and came.set())
        until(lambda: turns._waiting)
    thread.join(20)

    assert came.is_set()


def test_whoever_no_longer_waits_gets_no_turn():
    turns = Turns()
    with turns:
        gone = []
        thread = in_thread(lambda: gone.append(turns.acquire(timeout=0.01)))
        thread.join(20)
        assert gone == [False]

    assert turns.acquire(timeout=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_for_the_turn_of_another_thread_and_the_child_has_it_free():
    turns, entered, state = Turns(), threading.Event(), []

    def work():
        with turns:
            state.append("half")
            entered.set()
            time.sleep(0.1)
            state.append("whole")

    thread = in_thread(work)
    assert entered.wait(20)
    child = os.fork()
    if not child:
        os._exit(0 if state == ["half", "whole"] and turns.acquire(timeout=1) else 1)
    thread.join(20)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert turns.acquire(timeout=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_keeps_the_turn_in_which_it_was_forked():
    turns = Turns()
    with turns:
        child = os.fork()
    if not child:
        taken = []
        in_thread(lambda: taken.append(turns.acquire(timeout=1))).join(20)
        os._exit(0 if taken == [True] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
