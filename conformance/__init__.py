# SPDX-License-Identifier: Apache-2.0
"""Holding an implementation to a specification: targets, campaigns, reports and the command line."""
