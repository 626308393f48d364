# SPDX-License-Identifier: Apache-2.0
"""Laws of exclusive ownership that a state can be held to, for the designs that promise them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..kernel import Finding
from .device import Ownership
from .objects import Client, Token


@dataclass(frozen=True, slots=True)
class Check:
    """A law: its id, its sentence, and what breaks it in a given state."""

    id: str
    sentence: str
    broken: Callable[[Ownership], Iterator[str]]


def _owners(device: Ownership) -> list[Client]:
    return [client for client in device.clients if device.owns(client)]


def _one_owner(device: Ownership) -> Iterator[str]:
    if len(_owners(device)) > 1:
        yield f"{len(_owners(device))} clients own the device"


def _held(device: Ownership) -> Iterator[str]:
    if device.owner is None:
        return
    if device.owner.serial not in device.tokens:
        yield f"token {device.owner.serial} owns the device, and is gone"
    elif not device.owner.dropped and not _owners(device):
        yield f"token {device.owner.serial} owns the device, and no client has it"


def _reachable(device: Ownership) -> Iterator[str]:
    owners = _owners(device)
    for job in device.jobs.values():
        if job.client not in owners and not (device.owner is not None and job.client.token is device.owner):
            yield f"command {job.serial} of a client that does not own the device is on its way"
    for vma in device.maps():
        client = vma.file.private_data if vma.file is not None else None
        if vma.present and client not in owners:
            yield f"a client that does not own the device has a map of it in {vma.mm}"


def _pinned(device: Ownership) -> Iterator[str]:
    if device.owner is not None and device.pins:
        yield f"token {device.owner.serial} owns the device while {device.pins} exports of another one are left"
    for export in device.exports.values():
        if export.token is None and export.keeps is None:
            yield f"export {export.serial} pins nothing"


def _counted(device: Ownership) -> Iterator[str]:
    for token in device.tokens.values():
        exports = sum(export.token is token for export in device.exports.values())
        if token.exports != exports or token.refs < exports:
            yield f"token {token.serial} counts {token.exports} exports of {exports}, in {token.refs} references"


def _leaked(device: Ownership) -> Iterator[str]:
    for token in device.tokens.values():
        if not _reason(device, token):
            yield f"token {token.serial} is left, and nobody has it"


def _reason(device: Ownership, token: Token) -> bool:
    return (
        token is device.owner
        or any(client.token is token for client in device.clients)
        or any(export.token is token for export in device.exports.values())
        or any(job.client.token is token for job in device.jobs.values())
        or any(other.lessor is token for other in device.tokens.values())
    )


CHECKS: Final = (
    Check("ownership.I01", "at most one client owns the device", _one_owner),
    Check("ownership.I07", "the token that owns the device is some client's, or ends with what pins it", _held),
    Check("ownership.I03", "commands and maps are the owner's", _reachable),
    Check("ownership.I05", "exports of a former owner keep everybody else from owning the device", _pinned),
    Check("ownership.I06", "a token has a reference for each export that pins it", _counted),
    Check("ownership.I17", "a token goes with the last that refers to it", _leaked),
)

# DRM shares the device on purpose: clients work without being master, and a lessee passes for its lessor.
NOT_PROMISED: Final = {"drm_auth": {"ownership.I01", "ownership.I03", "ownership.I05"}}


def check(device: Ownership) -> list[Finding]:
    """Return what is broken in the present state. Meant for quiescent systems: no call may be half way."""
    left_out = NOT_PROMISED.get(device.name, set())
    return [Finding(law.id, text) for law in CHECKS if law.id not in left_out for text in law.broken(device)]
