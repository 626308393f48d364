# SPDX-License-Identifier: Apache-2.0
"""A driver stack that does what the facts say, written independently of the specification."""
