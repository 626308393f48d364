# SPDX-License-Identifier: Apache-2.0
"""What accelerator drivers must do: machines, operations, properties, revisions and their sources."""
