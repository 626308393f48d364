# SPDX-License-Identifier: Apache-2.0
"""The habanalabs driver and its device: memory, address spaces, command buffers, and queues that compute."""
