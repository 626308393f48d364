# SPDX-License-Identifier: Apache-2.0
"""The uacce queue lifecycle, in its revisions."""
