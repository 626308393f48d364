# SPDX-License-Identifier: Apache-2.0
"""The lifecycle tables: their machines agree with them, and the code obeys them."""

import pytest
from transitions import MachineError

from accelspec.reference_impl.lifecycle import (
    LIFECYCLES,
    QUEUE,
    IllegalTransitionError,
    Lifecycle,
    QueueState,
    Transition,
)


@pytest.mark.parametrize("life", LIFECYCLES, ids=lambda life: life.kind)
def test_machine_agrees_with_the_table(life: Lifecycle[QueueState]) -> None:
    events = {transition.event for transition in life.transitions}
    for state in type(life.initial):
        for event in events:
            machine = life.machine()
            machine.set_state(state.name)
            if life.allows(state, event):
                assert machine.trigger(event)
                assert machine.state == life.after(state, event).name
            else:
                with pytest.raises(MachineError):
                    machine.trigger(event)
                with pytest.raises(IllegalTransitionError, match=f"no {event} in {state.name}"):
                    life.after(state, event)


@pytest.mark.parametrize("life", LIFECYCLES, ids=lambda life: life.kind)
def test_every_state_is_reachable(life: Lifecycle[QueueState]) -> None:
    reached = {life.initial}
    for _ in life.transitions:
        reached |= {t.target for t in life.transitions if t.source in reached}
    assert reached == set(type(life.initial))


def test_queue_states_have_the_kernels_numbers() -> None:
    assert [(state.name, int(state)) for state in QueueState] == [("ZOMBIE", 0), ("INIT", 1), ("STARTED", 2)]
    assert QUEUE.initial is QueueState(0)


def test_ambiguous_table_is_refused() -> None:
    with pytest.raises(IllegalTransitionError, match="two states"):
        Lifecycle(
            "x",
            QueueState.INIT,
            (
                Transition("go", QueueState.INIT, QueueState.STARTED),
                Transition("go", QueueState.INIT, QueueState.ZOMBIE),
            ),
        )
