# SPDX-License-Identifier: Apache-2.0
"""What the target `kernel` is made of, as far as no guest is needed: bytes, names, and what is said when tools lack."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from accelspec.conformance.machine import Missing, Parts, packages, wire
from accelspec.conformance.machine import system_calls as calls
from accelspec.conformance.machine.archive import archive
from accelspec.conformance.machine.build import HERE
from accelspec.conformance.targets import Call, TargetError
from accelspec.conformance.targets.kernel import last_words, parts_of
from accelspec.conformance.targets.kernel_pieces import Piece
from accelspec.conformance.targets.kernel_uacce import UacceBook

LAYOUT = r"""
#include <stddef.h>
#include <stdio.h>
#include "abi.h"
int main(void)
{
    printf("%zu %zu %zu %zu %zu %zu %d", sizeof(struct accelspec_setup), sizeof(struct accelspec_arm),
           sizeof(struct accelspec_device_state), sizeof(struct accelspec_queue_state),
           offsetof(struct accelspec_state, device), sizeof(struct accelspec_state), ACCELSPEC_FAILURE_MAX);
}
"""

AGENT_LAYOUT = r"""
#include <stdio.h>
#include "agent.h"
int main(void)
{
    printf("%zu %zu %zu %lu %lu %u %lu %d %d", sizeof(struct step), sizeof(struct call), sizeof(struct answer),
           SHARED_AT, READ_ONLY_AT, DATA, BASE, FIRST_FD, DESCRIPTORS);
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_host_and_modules_have_the_same_layout(tmp_path: Path) -> None:
    (tmp_path / "layout.c").write_text(LAYOUT)
    program = tmp_path / "layout"
    subprocess.run(["gcc", "-I", HERE / "guest", "-o", program, tmp_path / "layout.c"], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    arm = wire.FAILURES * 2 + 4
    sizes = (wire.SETUP.size, arm, wire.DEVICE.size, wire.QUEUE.size, wire.HEADER.size, wire.WHOLE_STATE)
    assert said.split() == [*map(str, sizes), str(len(wire.FAILURE_NAMES))]
    assert wire.STEP.size == 16 + arm


def test_every_operation_of_the_agent_has_the_same_number_on_both_sides() -> None:
    source = (HERE / "guest" / "agent.h").read_text()
    names = source.partition("enum op { ")[2].partition("};")[0].replace(",", " ").split()
    assert names == [op.name for op in wire.Op]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_steps_calls_and_answers_have_the_layout_of_the_agent(tmp_path: Path) -> None:
    (tmp_path / "layout.c").write_text(AGENT_LAYOUT)
    program = tmp_path / "layout"
    subprocess.run(["gcc", "-I", HERE / "guest", "-o", program, tmp_path / "layout.c"], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    sizes = (wire.STEP.size, calls.CALL.size, wire.ANSWER.size)
    places = (calls.DATA_AT, calls.READ_ONLY_AT, calls.DATA, calls.MAPPINGS_AT, calls.FIRST_FD, calls.DESCRIPTORS)
    assert said.split() == [*map(str, sizes), *map(str, places)]


def test_the_pointers_of_a_call_lead_to_its_buffers() -> None:
    inner = calls.Buffer(b"inner")
    call = calls.SystemCall(16, (-1, calls.Buffer(b"x" * 16, ((8, inner),)), 7), answer_at=4, slot=3, out=True).failing(
        2
    )
    first, second = wire.Step(wire.Op.CLOSE, 0, 1), wire.Step.system_call(1, call, expected=-9)
    data = wire.pack_batch([second, first, second])[4 + 3 * wire.STEP.size :]
    half = len(data) // 2
    for at in (0, half):
        *arguments, number, found, out, size, slot, goes_on, nth = calls.CALL.unpack_from(data, at)
        text = arguments[1] - calls.DATA_AT
        assert arguments == [2**64 - 1, calls.DATA_AT + at + calls.CALL.size, 7, 0, 0, 0]
        assert (number, found, out, size, slot, goes_on, nth) == (16, text + 4, text, 16, 3, 0, 2)
        pointer = int.from_bytes(data[text + 8 : text + 16], "little") - calls.DATA_AT
        assert data[pointer : pointer + 5] == b"inner"
    step = wire.STEP.unpack_from(wire.pack_batch([second, first, second]), 4 + 2 * wire.STEP.size)
    assert step[:7] == (wire.Op.SYSCALL, 1, 0, 0, half, 0, -9)


def test_a_batch_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the agent takes"):
        wire.pack_batch([wire.Step(wire.Op.CLOSE)] * (wire.MOST_STEPS + 1))


def entries(data: bytes) -> dict[str, tuple[int, bytes]]:
    """The entries of an archive: mode and content."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + fields[11]
        name = data[at + 110 : name_end - 1].decode()
        start = name_end + -name_end % 4
        at = start + fields[6] + -fields[6] % 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found[name] = fields[1], data[start : start + fields[6]]


def test_an_archive_holds_what_was_put_in() -> None:
    found = entries(archive(("dev", "modules"), {"init": b"agent", "modules/a.ko": b"x" * 5}))
    assert list(found) == ["dev", "modules", "dev/console", "init", "modules/a.ko"]
    assert found["init"] == (0o100755, b"agent")
    assert found["modules/a.ko"][1] == b"x" * 5
    assert found["dev/console"][0] == 0o020600


def test_names_and_pieces_follow_what_succeeds() -> None:
    book = UacceBook()
    mmap = Call("mmap", ("process1", "fd0", "DUS", "False"))
    assert book.made(mmap, "EEXIST") == ()
    assert book.made(mmap, "OK") == ("vma1",)
    assert book.made(Call("mprotect_tail", ("vma1",)), "OK") == ("vma2",)
    assert book.pieces == {"vma1": Piece(0, 0, 1, 1), "vma2": Piece(0, 1, 1, 1)}
    (step,) = book.steps(Call("munmap", ("vma2",)))
    assert (step.op, step.who, step.a, step.b, step.c) == (wire.Op.MUNMAP, 1, 1, 1, 0)
    draft = book.copy()
    draft.made(Call("munmap", ("vma2",)), "OK")
    assert "vma2" in book.pieces
    assert book.made(Call("poll", ("process0", "fd0", "True")), "READY") == ()
    assert book.made(Call("poll", ("process0", "fd0", "True")), "WOULD_BLOCK") == ("waiter1",)


def test_failures_and_absent_callbacks_reach_the_step() -> None:
    call = Call("open", ("process0", "fd1", "device0", "True"), {"allocation": "ENOMEM", "get_queue": "EIO"})
    (step,) = UacceBook().steps(call, "ENOMEM")
    assert [wire.FAILURE_NAMES[which] for which, _ in step.failures] == ["open.allocation", "get_queue"]
    assert step.expected == -12
    (step,) = UacceBook().steps(Call("read_threshold", ("qm0",), {"isolate_err_threshold_read is absent": "EIO"}))
    assert step.absent == 1 << 3


@pytest.mark.parametrize(
    ("operation", "result"),
    [("poll", "READY"), ("touch", "SIGBUS"), ("open", "EBUSY"), ("remove", "DONE"), ("start", "OK")],
)
def test_results_go_there_and_back(operation: str, result: str) -> None:
    book, call = UacceBook(), Call(operation)
    assert book.outcome(call, book.number(call, result)) == result


def test_a_process_that_died_is_a_crash() -> None:
    assert UacceBook().outcome(Call("start"), -wire.DIED - 11) == "OOPS"


def test_of_a_console_what_went_wrong_is_told() -> None:
    console = "[1] something\n[2] BUG: kernel NULL pointer dereference\n[3] more\n[4] RIP: 0010:uacce_fops_mmap+0x1\n"
    assert last_words(console) == "[2] BUG: kernel NULL pointer dereference | [4] RIP: 0010:uacce_fops_mmap+0x1"
    assert last_words("just an end") == "just an end"


def test_tools_that_lack_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    have = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if "qemu" in tool else have(tool) or tool)
    with pytest.raises(Missing) as caught:
        packages.check_tools()
    first, remedy = str(caught.value).splitlines()
    assert "qemu-system-x86_64" in first
    assert "apt-get install --no-install-recommends" in remedy
    assert "qemu-system-x86" in remedy


def test_a_small_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(Missing, match="XDG_CACHE_HOME"):
        packages.check_disk(tmp_path)


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no file .*patched\.c"):
        Parts(uacce_source=str(tmp_path / "patched.c")).paths()
    with pytest.raises(TargetError, match="no option 'kernel'"):
        parts_of({"kernel": "x"})
    assert parts_of({"module": "a.ko:b.ko"}).modules == ("a.ko", "b.ko")


def test_without_qemu_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "accelspec.conformance.command_line"]
    done = subprocess.run(
        [*command, "kernel", "build"], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("accelspec: the target kernel ")
    assert "Traceback" not in done.stderr
