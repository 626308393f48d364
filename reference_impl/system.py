# SPDX-License-Identifier: Apache-2.0
"""The whole reference implementation behind explicit calls: processes, descriptors, devices and maps by number.

Every call answers with 0, a count or number, a negative `Errno`, or an `Outcome`. A call runs to its end before the
next one, unless it sleeps; `call` starts one that the caller steps, to meet another half way.
"""

from collections.abc import Callable
from typing import Any

from .kernel import Call, Errno, Finding, Step, Task, UsageError, answer
from .observation import observe
from .uacce import Provider
from .user_calls import UserCalls


class System(UserCalls):
    """One machine: a kernel with uacce in it, its devices, and the processes that use them.

    `behaviour` is "6.12.117", "intended" or a `Behaviour`; `faults` names bugs to put in. `provider` makes the
    hardware of a device; what `alloc` does not say about it is in `hardware` (capacity, mmio_pages, dus_pages,
    callbacks, ...). With `reuse_ids` a device gets the lowest free number, as in Linux: a node kept from a removed
    device may then lead to another one. Without it numbers are never used again.
    """

    # Devices.

    def alloc(self, d: int, *, sva: bool = True, **hardware: Any) -> int:
        """Let the driver of device `d` probe: make the uacce device, not published yet. 0 or a negative errno.

        `hardware`: capacity, mmio_pages, dus_pages, callbacks (names), is_vf, physical (a Provider), threshold.
        """
        old = self.providers.get(d)
        if old is not None and old.device is not None and old.device.parent is not None:
            raise UsageError(f"device {d} exists; remove it first")
        provider = self._make_provider(self.framework, **{**self._hardware, **hardware})
        result = provider.probe("hisi", sva=sva)
        if result == 0:
            self.providers[d] = provider
            self._inodes.pop(d, None)
        return answer(result)

    def register(self, d: int) -> int:
        """Publish device `d`: 0, -ENODEV (never allocated), -ENOMEM, or why the driver model refuses it."""
        provider = self.providers.get(d)
        device = provider.device if provider is not None else None
        if device is not None and device.state.name not in ("ALLOCATED",):
            raise UsageError(f"device {d} is {device.state.name.lower()}; only an allocated one can be registered")
        result = self.framework.register(device)
        if result == 0 and device is not None:
            self._inodes[d] = self.kernel.char_devices.nodes[device.name]
        return answer(result)

    def remove(self, d: int, *, wait_for_users: bool = False) -> int:
        """Remove device `d`; 0, also where there is none. With `wait_for_users` as the HiSilicon driver does it.

        Open descriptions keep their dead queues. Waiting for users answers WOULD_BLOCK while there are any.
        """
        return self._run("remove", d, wait_for_users)

    def _remove(self, task: Task, d: int, wait_for_users: bool = False) -> Step[int]:
        provider = self.providers.get(d)
        device = provider.device if provider is not None else None
        if device is not None and device.parent is None:
            device = None
        if wait_for_users and provider is not None and device is not None:
            yield from provider.users_gone()
        return (yield from self.framework.remove(task, device))

    def _provider(self, d: int) -> Provider:
        provider = self.providers.get(d)
        if provider is None:
            raise UsageError(f"device {d} was never allocated")
        return provider

    def complete(self, p: int, n: int, jobs: int = 1) -> int:
        """Let the hardware finish up to `jobs` requests of the queue behind `n`; how many it finished, or -EBADF.

        A queue that does not run finishes none.
        """
        q = self.queue_of(p, n)
        if q is None:
            return Errno.EBADF
        hardware = q.priv
        if hardware is None or hardware.owner is not q:
            return 0
        done = int(hardware.provider.complete(hardware, jobs))
        self.settle()
        return done

    def interrupt(self, d: int, number: int) -> int:
        """Let hardware queue `number` of device `d` interrupt, whether or not something completed. 0."""
        provider = self._provider(d)
        if not 0 <= number < provider.capacity:
            raise UsageError(f"device {d} has hardware queues 0 to {provider.capacity - 1}")
        provider.interrupt(provider.queues[number])
        self.settle()
        return 0

    def hw_error(self, d: int) -> int:
        """Let the hardware of device `d` report an error. 0."""
        self._provider(d).hardware_error()
        return 0

    def reset(self, d: int, ok: bool = True) -> int:
        """Reset device `d`, all accepted requests are lost; `ok` tells whether it works again. 0."""
        provider = self._provider(d)
        provider.begin_reset()
        provider.end_reset(ok)
        self.settle()
        return 0

    def begin_reset(self, d: int) -> int:
        """Begin a reset of device `d`; until `end_reset` it is stopped. 0."""
        self._provider(d).begin_reset()
        return 0

    def end_reset(self, d: int, ok: bool = True) -> int:
        """End a reset of device `d`. 0."""
        self._provider(d).end_reset(ok)
        return 0

    def advance(self, seconds: int) -> int:
        """Let time pass. 0."""
        self.kernel.now += seconds
        return 0

    def _directory(self, d: int) -> str:
        provider = self.providers.get(d)
        return provider.device.name if provider is not None and provider.device is not None else ""

    def read_sysfs(self, d: int, name: str) -> str | int:
        """Return the text of an attribute of device `d`, -ENOENT where there is none, or the driver's errno."""
        return self._sysfs("read_sysfs", lambda: self.kernel.sysfs.read(self._directory(d), name))

    def write_sysfs(self, d: int, name: str, text: str) -> int:
        """Write an attribute of device `d`: bytes taken, -ENOENT, -EACCES (read only), -EINVAL, or the driver's."""
        result = self._sysfs("write_sysfs", lambda: self.kernel.sysfs.write(self._directory(d), name, text))
        return result if isinstance(result, int) else Errno.EINVAL

    def _sysfs(self, name: str, access: Callable[[], str | int]) -> str | int:
        texts: list[str] = []

        def steps() -> Step[int]:
            yield from ()
            result = access()
            if isinstance(result, str):
                texts.append(result)
                return 0
            return result

        result = Call(Task(name), steps(), self.kernel.findings.report).run()
        return texts[0] if texts else answer(result)

    # Failures, and what can be seen.

    def inject(self, name: str, result: int) -> int:
        """Let the next step called `name` answer `result`, once: a callback or a kernel step (see INJECTABLE). 0."""
        self.kernel.injector.add(name, result)
        return 0

    def fail_allocation(self, k: int = 1) -> int:
        """Let the k-th kernel allocation from now fail. 0."""
        self.kernel.allocator.fail_at(k)
        return 0

    def observe(self) -> dict[str, Any]:
        """Return the whole state as plain dicts; see `observation`."""
        return observe(self)

    @property
    def findings(self) -> list[Finding]:
        """What the kernel noticed about itself so far."""
        return self.kernel.findings.all
