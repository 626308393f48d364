# SPDX-License-Identifier: Apache-2.0
"""The target `kernel`: uacce of a real Linux in a virtual machine; skipped with the reason where none can be built."""

import os
import re
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from accelspec.conformance.campaign import CampaignResult, fuzz, replay
from accelspec.conformance.disagreement import Nature
from accelspec.conformance.machine import Missing, build
from accelspec.conformance.machine.base import UACCE
from accelspec.conformance.machine.wire import Event, Op, Step
from accelspec.conformance.targets import Ahead, Call, Observation, System, TargetError
from accelspec.conformance.targets.kernel import LATEST, Kernel, OneByOne, TwoProcessors
from accelspec.conformance.targets.kernel_uacce import LIVES
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]

REVISION = "6.12.117"
SCOPE = {"Process": 2, "Mm": 2, "Fd": 2, "Device": 2, "Minor": 1, "HwQueue": 2, "Qm": 1}
STEPS = 1200
OUT_OF_REACH = {"register.cdev_add_fails", "open.device_removed"}


@cache
def uacce() -> Specification:
    return compile_machine(MACHINES["uacce"][REVISION])


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    try:
        made = Kernel("uacce", REVISION)
    except Missing as lack:
        pytest.skip(f"no kernel target here: {lack}".replace("\n", ": "))
    yield made
    made.close()


def fresh(own: bool = False) -> System:
    """Two hardware queues of the first device, or each device with its own."""
    return System("uacce", REVISION, SCOPE, {f"hwQueue{n}.device": f"device{n * own}" for n in range(2)})


def run(kernel: OneByOne, *lines: str, own: bool = False) -> list[Observation]:
    """Calls as in a trace, on a fresh system, whether the specification offers them or not."""
    kernel.reset(fresh(own))
    seen = []
    for line in lines:
        operation, _, rest = line.partition("(")
        seen.append(kernel.perform(Call(operation, tuple(rest.rstrip(")").split(", ")))))
    return seen


READY = ("alloc(device0)", "register(device0)", "open(process0, fd0, device0, False)")


def test_a_real_kernel_does_what_the_specification_says(kernel: Kernel) -> None:
    done = fuzz(uacce(), kernel, seed=7, max_steps=STEPS, budget=Budget(60))
    assert done.disagreement is None, done.disagreement.text()
    assert done.steps >= min(STEPS, 300)
    assert done.steps / done.examples >= 20
    assert sum(map(bool, done.rows.values())) >= 0.8 * (len(done.rows) - len(OUT_OF_REACH))


def test_calls_that_are_sent_together_answer_as_one_by_one(kernel: Kernel) -> None:
    assert isinstance(kernel, Ahead)
    calls = [
        Call("alloc", ("device0",)),
        Call("register", ("device0",)),
        Call("open", ("process0", "fd0", "device0", "False")),
        Call("mmap", ("process0", "fd0", "MMIO", "False")),
        Call("fork", ("process0", "process1", "mm1")),
        Call("poll", ("process1", "fd0", "True")),
        Call("complete", ("queue1",)),
        Call("send", ("process0", "fd0")),
        Call("exec", ("process0", "mm0", "True")),
        Call("wake_up", ("waiter1",)),
        Call("receive", ("process0", "fd1", "message1")),
        Call("exit", ("process1",)),
        Call("close", ("process0", "fd1")),
    ]
    kernel.reset(fresh())
    kernel.perform(Call("exit", ("process1",)))
    alone = [kernel.perform(call) for call in calls]
    kernel.reset(fresh())
    kernel.perform(Call("exit", ("process1",)))
    draft = kernel.draft()
    for call, seen in zip(calls, alone, strict=True):
        assert draft.add(call, seen.result) == seen.created
    assert draft.send() == alone
    assert not any(kernel.leftovers().values())


def test_what_is_left_over_is_counted(kernel: Kernel) -> None:
    run(kernel, *READY, "dup(process0, fd0, fd1)", "open(process1, fd0, device0, False)")
    left = kernel.leftovers()
    assert (left["File"], left["Queue"]) == (2, 2)
    assert not any(count for name, count in left.items() if name not in ("File", "Queue"))


def test_a_batch_ends_at_the_first_surprise(kernel: Kernel) -> None:
    kernel.reset(fresh())
    draft = kernel.draft()
    for call in ("alloc", "register", "remove"):
        draft.add(Call(call, ("device0",)), "OK" if call != "register" else "ENOMEM")
    assert [seen.result for seen in draft.send()] == ["OK", "OK"]
    assert kernel.perform(Call("read_available", ("device0",))).result == "OK"


def test_a_refused_mremap_clears_the_slot(kernel: Kernel) -> None:
    """U01: the law I07 is broken by it, so no campaign makes this call; here it is made."""
    seen = run(kernel, *READY, "mmap(process0, fd0, MMIO, False)", "mremap_move(vma1)", "touch(vma1)")
    assert [s.result for s in seen[3:]] == ["OK", "EPERM", "OK"]
    assert [s.state["queue1.mmio"] for s in seen[3:]] == ["SET", "EMPTY", "EMPTY"]


def test_a_mapping_that_is_made_during_remove_survives_it(kernel: Kernel) -> None:
    """U03, with mmap held where the driver's callback has returned and the mapping is not linked yet."""
    run(kernel, *READY)
    guest = kernel.guest
    guest.steps([Step(Op.EVENT, a=Event.PAUSE)])
    events = [Step(Op.EVENT, a=event) for event in (Event.HELD, Event.REMOVE, Event.RESUME)]
    made, _ = guest.steps([Step(Op.MMAP_HELD, who=0), *events, Step(Op.TOUCH, who=0)])
    assert [answer.result for answer in made] == [0, 0, 0, 0, 0]  # the touch reaches a device that is gone
    assert made[2].state is not None
    assert made[2].state.devices[0].life == LIVES.index("REMOVED")


def test_a_device_that_is_freed_under_its_queue_crashes_the_kernel(kernel: Kernel) -> None:
    """U11: an old node leads to the new device of the same minor, and pins only the old one."""
    lines = (*READY, "remove(device0)", "alloc(device1)", "open(process0, fd1, device0, True)", "remove(device1)")
    seen = run(kernel, *lines, "close(process0, fd1)", own=True)
    assert [s.result for s in seen[3:]] == ["DONE", "OK", "OK", "DONE", "OOPS"]
    assert seen[-2].state["device1.life"] == "FREED"
    assert "queue2.state" in seen[-2].state
    assert "RIP: 0010:" in seen[-1].alarms[0] or "Oops" in seen[-1].alarms[0]
    assert run(kernel, "alloc(device0)")[0].result == "OK"  # a crash ends a run, not the target


class Counting(Kernel):
    """Counts the calls of every run."""

    lengths: list[int]

    def reset(self, system: System) -> Mapping[str, str]:
        self.lengths = [*getattr(self, "lengths", []), 0]
        return super().reset(system)

    def _run(self, calls: Sequence[tuple[Call, Sequence[Step]]]) -> list[Observation]:
        seen = super()._run(calls)
        self.lengths[-1] += len(seen)
        return seen


@pytest.mark.slow
def test_the_median_run_is_long_and_the_rows_are_covered(kernel: Kernel) -> None:
    counting = Counting("uacce", REVISION)
    try:
        done = fuzz(uacce(), counting, seed=11, max_steps=20_000, budget=Budget(120))
    finally:
        counting.close()
    assert done.disagreement is None, done.disagreement.text()
    missing = {row for row in uacce().rows() if not done.rows.get(row)} - OUT_OF_REACH
    assert len(missing) <= 0.05 * (len(uacce().rows()) - len(OUT_OF_REACH)), missing
    assert statistics.median(counting.lengths) >= 30


# Fixes of uacce.c taken back, by the text that they changed; ids as in docs/machines/uacce-historical-bugs.md.
TAKEN_BACK = {
    "B-10 there is no mremap operation": (("	.mremap = uacce_vma_mremap,\n", ""),),
    "B-01 remove does not unmap": (("		unmap_mapping_range(q->mapping, 0, 0, 1);\n", ""),),
    "S-06 PUT_Q gives the hardware queue back": (("ret = uacce_stop_queue(q);", "uacce_put_queue(q); ret = 0;"),),
    "S-05 mmap does not look at the state": (
        ("	if (!uacce_queue_is_valid(q)) {\n		ret = -ENXIO;\n		goto out_with_lock;\n	}\n", ""),
    ),
    "S-29 the driver's ioctl runs on dead queues": (
        ("	if (!uacce_queue_is_valid(q))\n		goto out_unlock;\n\n	switch", "	switch"),
    ),
    "B-07 the close keeps the slot": (("		q->qfrs[vma->vm_pgoff] = NULL;\n", ""),),
    "B-11 a failed register keeps the pointer": (("	if (ret)\n		uacce->cdev = NULL;\n", ""),),
    "S-02 the bond is kept when get_queue fails": (
        ("out_with_bond:\n	uacce_unbind_queue(q);\n", "out_with_bond:\n"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", TAKEN_BACK)
def test_a_fix_that_is_taken_back_is_found(bug: str, kernel: Kernel, tmp_path: Path) -> None:
    text = (build().folder.parent / "source" / UACCE).read_text()
    for old, new in TAKEN_BACK[bug]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    source = tmp_path / "uacce.c"
    source.write_text(text)
    broken = Kernel("uacce", REVISION, {"uacce-source": str(source)})
    try:
        found = hunt(broken)
        assert found.disagreement is not None
        assert found.recording is not None
        again = replay(uacce(), broken, found.recording)
        assert again.disagreement is not None
        assert again.disagreement.signature == found.disagreement.signature
        if found.disagreement.nature is not Nature.LEFTOVER:
            assert len(found.disagreement.prefix) <= 12
    finally:
        broken.close()


@pytest.mark.slow
def test_calls_that_meet_are_explained_by_an_order(kernel: Kernel) -> None:
    racing = TwoProcessors("uacce", REVISION)
    try:
        done = fuzz(uacce(), racing, seed=5, max_steps=10_000, budget=Budget(400))
    finally:
        racing.close()
    assert done.disagreement is None, done.disagreement.text()


def starts(racing: TwoProcessors, times: int) -> Counter[tuple[str, ...]]:
    """Two processes start one queue at the same time: how often each pair of answers was seen, with alarms."""
    seen = Counter[tuple[str, ...]]()
    one, other = (Call("start", (f"process{i}", "fd0")) for i in range(2))
    for n in range(times):
        run(racing, *READY, "exit(process1)", "fork(process0, process1, mm1)")
        both = racing.meet(one, other, (n % LATEST,))
        seen[(*sorted(half.result for half in both), *(alarm for half in both for alarm in half.alarms))] += 1
    return seen


@pytest.mark.slow
def test_a_lock_that_is_left_out_is_found_where_calls_meet(kernel: Kernel, tmp_path: Path) -> None:
    text = (build().folder.parent / "source" / UACCE).read_text()
    begin = text.index("static long uacce_fops_unl_ioctl")
    end = text.index("#ifdef CONFIG_COMPAT", begin)
    ioctl = re.sub(r"\tmutex_(un)?lock\(&uacce->mutex\);\n", "", text[begin:end])
    source = tmp_path / "uacce.c"
    source.write_text(text[:begin] + ioctl + text[end:])
    right, wrong = TwoProcessors("uacce", REVISION), TwoProcessors("uacce", REVISION, {"uacce-source": str(source)})
    try:
        assert starts(right, 200).keys() == {("EINVAL", "OK")}
        assert any(seen[:2] == ("OK", "OK") for _ in range(10) for seen in starts(wrong, 200))
    finally:
        right.close()
        wrong.close()


@pytest.mark.slow
def test_a_module_of_ones_own_takes_the_place_of_ours(kernel: Kernel, tmp_path: Path) -> None:
    """Built from the distribution's source without our shim: no failing allocations, no SVA, and the same answers."""
    base = build().folder.parent
    (tmp_path / "uacce.c").write_text((base / "source" / UACCE).read_text())
    (tmp_path / "Kbuild").write_text("obj-m := uacce.o\nccflags-y := -DCONFIG_UACCE=1\n")
    command = ["make", "-s", "-C", str(base / "headers"), f"M={tmp_path}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    subprocess.run(command, check=True)
    own = Kernel("uacce", REVISION, {"module": str(tmp_path / "uacce.ko")})
    try:
        with pytest.raises(TargetError, match="--scope Minor=2"):
            own.reset(fresh())
        done = fuzz(uacce(), own, scope={"Minor": 2}, seed=3, max_steps=2_000, budget=Budget(120))
    finally:
        own.close()
    assert done.disagreement is None, done.disagreement.text()
    assert done.rows["alloc.ok"]
    assert not done.rows["alloc.no_memory"]


def hunt(target: Kernel) -> CampaignResult:
    return fuzz(uacce(), target, seed=int(os.environ.get("SEED", "1")), max_steps=100_000, budget=Budget(120))
