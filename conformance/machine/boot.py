# SPDX-License-Identifier: Apache-2.0
"""A guest under qemu: booted once, its state kept in a file, restored from there whenever a fresh one is wanted.

Software emulation works everywhere and is the default.  `kvm` is used only where a boot proved that it works.
A guest has no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import wire
from .build import PARAMETERS, Image

BOOT_SECONDS = 120.0
ANSWER_SECONDS = 20.0
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # no guest outlives the process that started it
GREETING = b"accelspec agent 1"
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr random.trust_cpu=on i8042.noaux i8042.nokbd "
    "tsc=reliable no_timer_check"
)


class Crashed(Exception):
    """The guest's kernel crashed; the text is the end of its console."""


class Silent(Exception):
    """The guest did not answer in time; the text is the end of its console."""


class Guest:
    """A running guest; the caller owns it and ends it with `close`."""

    def __init__(self, image: Image, accelerator: str = "tcg", snapshot: Path | None = None, cpus: int = 1) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="accelspec-guest-"))
        self._console = self._folder / "console"
        self._rest = b""
        agent = self._folder / "agent"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(agent))
            listener.listen(1)
            listener.settimeout(BOOT_SECONDS)
            command = qemu(image, accelerator, cpus, agent, self._console, self._folder / "monitor")
            if snapshot is not None:
                command += ["-incoming", f"exec:cat {snapshot}"]
            with (self._folder / "errors").open("wb") as errors:
                self._process = subprocess.Popen(
                    [*DIES_WITH_US, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
                )
            try:
                self._channel, _ = listener.accept()
                self._monitor = _Monitor(self._folder / "monitor")
                if snapshot is None:
                    if self._frame(BOOT_SECONDS)[: len(GREETING)] != GREETING:
                        raise Crashed("the agent said no proper greeting")
                else:
                    self._monitor.wait_for("query-status", "status", ("paused", "running"), ("internal-error",))
                    self._monitor("cont")
            except (OSError, Crashed, Silent) as error:
                said = self.console()
                self.close()
                raise Silent(f"qemu did not come up: {error}\n{said}") from error

    def save(self, path: Path) -> None:
        """Write the state of the guest to a file and end it."""
        self._monitor("migrate-set-parameters", **{"max-bandwidth": 1 << 33})
        self._monitor("stop")
        self._monitor("migrate", uri=f"exec:cat > {path}")
        self._monitor.wait_for("query-migrate", "status", ("completed",), ("failed",))
        self.close()

    # ------------------------------------------------------------------ what the agent does

    def fresh(self, processes: int, minors: int, hardware: Sequence[int]) -> tuple[wire.State, str]:
        """Begin again: so many processes, and a hardware queue of each of these devices."""
        devices = [*hardware, *[0] * (wire.HARDWARE - len(hardware))]
        setup = wire.SETUP.pack(minors, len(hardware), *devices)
        data = self.ask(b"f", bytes([processes]) + setup)
        (result,) = struct.unpack_from("<i", data)
        if result:
            raise Crashed(f"the provider refused the setup: {os.strerror(-result)}")
        return wire.State.unpack(data[4:]), data[4 + wire.WHOLE_STATE :].decode(errors="replace")

    def steps(self, batch: Sequence[wire.Step]) -> tuple[list[wire.Answer], str]:
        """Make steps, up to the first whose result is not the expected one; and what the kernel logged meanwhile."""
        return wire.unpack_answers(self.ask(b"b", wire.pack_batch(batch)))

    def meet(self, pair: Sequence[wire.Step], delays: tuple[int, int]) -> tuple[list[wire.Answer], str]:
        """Two steps of different processes at once, each after so many turns of an empty loop; as `steps`.

        Neither may end a process, fork, exec or sleep.
        """
        return wire.unpack_answers(self.ask(b"c", struct.pack("<II", *delays) + wire.pack_batch(pair)))

    def read(self, path: str) -> str:
        """A file of the guest."""
        return self.ask(b"r", path.encode()).decode(errors="replace")

    def load(self, module: str, parameters: str = "") -> str:
        """Load a module of the image; what the kernel logged meanwhile.  Raises OSError."""
        data = self.ask(b"m", f"/modules/{module}.ko\0{parameters}\0".encode())
        (result,) = struct.unpack_from("<i", data)
        log = data[4:].decode(errors="replace")
        if result:
            raise OSError(-result, f"the kernel refuses {module}.ko: {os.strerror(-result)}. {log.strip()}")
        return log

    def ask(self, kind: bytes, rest: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """One question; its answer.  Raises Crashed, Silent."""
        try:
            self._channel.sendall(struct.pack("<I", 1 + len(rest)) + kind + rest)
        except OSError:
            raise Crashed(self._last_words()) from None
        return self._frame(seconds)

    def _frame(self, seconds: float) -> bytes:
        end = time.monotonic() + seconds
        needed = 4
        while True:
            if len(self._rest) >= 4:
                needed = 4 + int.from_bytes(self._rest[:4], "little")
            if len(self._rest) >= needed:
                frame, self._rest = self._rest[4:needed], self._rest[needed:]
                return frame
            if not select.select([self._channel], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Silent(f"no answer within {seconds:g} s\n{self.console()}")
            piece = self._channel.recv(1 << 16)
            if not piece:
                raise Crashed(self._last_words())
            self._rest += piece

    # ------------------------------------------------------------------ the machine

    def console(self) -> str:
        """What the kernel and qemu have written."""
        return "".join(
            path.read_text(errors="replace") for path in (self._console, self._folder / "errors") if path.exists()
        ).strip()

    def processor_time(self) -> float:
        """Seconds of processors that qemu has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return self.console()

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if channel := getattr(self, "_channel", None):
            channel.close()
        if monitor := getattr(self, "_monitor", None):
            monitor.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class Machine:
    """Guests of one image: the first boots, loads the modules and is kept in a file, from which all are restored."""

    image: Image
    accelerator: str = "tcg"
    cpus: int = 1
    booted: float = 0.0  # seconds; 0: nothing had to be booted
    restored: float = 0.0  # seconds, the last time
    log: str = field(default="", repr=False)  # what loading the modules wrote

    @property
    def snapshot(self) -> Path:
        """Where the state is kept."""
        return self.image.folder / f"snapshot-{self.accelerator}-{self.cpus}"

    def guest(self) -> Guest:
        """A fresh guest, with its modules loaded.  Raises Silent, Crashed."""
        if not self.snapshot.exists():
            began = time.monotonic()
            guest = self.boot()
            partial = self.snapshot.with_suffix(f".{os.getpid()}")
            guest.save(partial)
            partial.rename(self.snapshot)
            self.booted = time.monotonic() - began
        began = time.monotonic()
        try:
            guest = Guest(self.image, self.accelerator, self.snapshot, self.cpus)
            guest.ask(b"p")
        except (Silent, Crashed):  # a snapshot of another qemu
            self.snapshot.unlink(missing_ok=True)
            raise
        self.restored = time.monotonic() - began
        return guest

    def boot(self) -> Guest:
        """A guest that was booted now, with its modules loaded."""
        guest = Guest(self.image, self.accelerator, cpus=self.cpus)
        try:
            self.log = "".join(guest.load(name, PARAMETERS.get(name, "")) for name in self.image.modules)
        except BaseException:
            guest.close()
            raise
        return guest


def start(image: Image, cpus: int = 1) -> Machine:
    """The machine of an image; with hardware virtualisation where that is known to boot this kernel."""
    return Machine(image, "kvm" if kvm_boots(image) else "tcg", cpus)


def kvm_boots(image: Image) -> bool:
    """Did a boot with /dev/kvm succeed?  Tried once, and only where the processor has the extensions."""
    verdict = image.folder / "kvm"
    if not verdict.exists():
        flags = Path("/proc/cpuinfo").read_text(errors="replace").split()
        works = bool({"svm", "vmx"}.intersection(flags)) and os.access("/dev/kvm", os.R_OK | os.W_OK)
        if works:
            try:
                Guest(image, "kvm").close()
            except (Silent, Crashed):
                works = False
        verdict.write_text("boots" if works else "does not boot")
    return verdict.read_text() == "boots"


def qemu(image: Image, accelerator: str, cpus: int, agent: Path, console: Path, monitor: Path) -> list[str]:
    """The command line of a guest."""
    return [
        image.qemu,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"),
        *("-machine", "pc,usb=off,hpet=off,vmport=off"),
        *("-accel", "tcg,thread=multi" if accelerator == "tcg" else accelerator),
        *("-cpu", "max" if accelerator == "tcg" else "host,migratable=off"),
        *("-m", str(image.memory), "-smp", str(cpus)),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", KERNEL_ARGUMENTS),
        *("-serial", f"file:{console}", "-qmp", f"unix:{monitor},server=on,wait=off"),
        *("-chardev", f"socket,id=agent,path={agent}"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"),
    ]


class _Monitor:
    """qemu's own channel, for snapshots."""

    def __init__(self, path: Path) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self._file = self._socket.makefile("rw")
        self._file.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: object) -> dict[str, Any]:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise OSError(f"qemu refuses {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                found: dict[str, Any] = answer["return"]
                return found
        raise OSError("qemu has ended")

    def wait_for(self, command: str, key: str, good: Sequence[str], bad: Sequence[str]) -> None:
        """Ask until the answer is a good one."""
        end = time.monotonic() + BOOT_SECONDS
        while (found := self(command).get(key)) not in good:
            if found in bad or time.monotonic() > end:
                raise OSError(f"qemu: {command} says {found}")
            time.sleep(0.005)

    def close(self) -> None:
        self._file.close()
        self._socket.close()
