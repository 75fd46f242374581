"""How threads wait for one another. By default they spin, which on a busy machine takes the cores from who has work."""

from __future__ import annotations

from collections.abc import Mapping

# One wish in the words of OpenMP, of the LLVM and Intel runtimes, of GNU's (some microseconds of spinning save a good
# part of what sleeping costs on an idle machine), and of OpenBLAS (2^4 cycles, its least).
PASSIVE: Mapping[str, str] = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "KMP_BLOCKTIME": "0",
    "GOMP_SPINCOUNT": "1000",
    "OPENBLAS_THREAD_TIMEOUT": "4",
}


def waiting_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make threads sleep while they wait; none where the user has set one of them.

    They count only if they are set before the libraries are loaded.
    """
    return {} if any(name in environment for name in PASSIVE) else dict(PASSIVE)
