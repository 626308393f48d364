# SPDX-License-Identifier: Apache-2.0
"""What every test of this repository shares: the two Hypothesis profiles.

Hypothesis chooses a profile of its own where the variable CI is set, and that one stores nothing and repeats the
same cases; so the choice is made here, the same on every machine.

- ``pr`` (default): the same cases on every run, so that a red run means a changed program.
- ``fuzz`` (``--hypothesis-profile=fuzz``): new cases on every run, found failures are kept in ``.hypothesis/``.
"""

from hypothesis import settings

settings.register_profile("pr", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("fuzz", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("pr")
