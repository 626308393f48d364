# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: what is measured is a ratio, taken in one run on one machine."""
