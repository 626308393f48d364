# SPDX-License-Identifier: Apache-2.0
"""accelspec: a specification of what Linux accelerator drivers must do, that runs.

The four packages are real folders at the top of the repository; this one only gives them one import name:
``accelspec.spec``, ``accelspec.model``, ``accelspec.reference_impl`` and ``accelspec.conformance``.
"""

__version__ = "0.1.0"
