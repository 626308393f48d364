# SPDX-License-Identifier: Apache-2.0
"""What follows from a specification alone: evaluate, prove, explore, compare and export."""
