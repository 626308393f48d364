#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install what the target `kernel` is built and run with, from the distribution's packages. Needs root.
set -eu
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tools='qemu-system-x86 gcc make binutils libc6-dev libelf1 xz-utils'
if ! { timeout 300 apt-get update -q && timeout 900 apt-get install -q -y --no-install-recommends $tools; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log"
    exit 1
fi
