# SPDX-License-Identifier: Apache-2.0
"""The commands of `accelspec`: those that run engines, those that look, and what they share."""
