# SPDX-License-Identifier: Apache-2.0
"""Hardware queues that compute."""
