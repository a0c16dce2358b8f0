"""The same bits on another kind of processor: every config, in environments that stand for others, leaves one hash.

``python -m tests.campaigns.processors`` runs all configs in four; the tests run one of them, and fewer environments.
What learns with torch elsewhere runs with a fit that was saved.

- native: this processor, as it is
- generic: code compiled for the plainest x86-64 there is, without vectors or fused multiply-add
- no-fma: the C library's own `exp`, `log` and `pow` without AVX and fused multiply-add
- plain numpy: numpy's kernels without AVX and fused multiply-add

A name of an instruction set that this processor does not have is ignored by all three. On another kind of processor
than x86-64 the last three are the first.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import ROOT
from tests.kit.blank_fits import TRAINED, with_random_weights

ENVIRONMENTS = {
    "native": {},
    "generic": {"NUMBA_CPU_NAME": "generic"},
    "no-fma": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX"},
    "plain numpy": {
        "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL"
    },
}  # fmt: skip
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


@functools.cache
def _config(name: str) -> Path:
    """Return where the config is that runs everywhere: with a saved fit, if learning wants an extra."""
    path = ROOT / "configs" / f"{name}.toml"
    return with_random_weights(path, Path(_FITS.name)) if name in TRAINED else path


# One fit for all environments: learning is not what is asked of them.
_FITS = tempfile.TemporaryDirectory()


def hashes(configs: Sequence[str], environment: str) -> dict[str, str]:
    """Run configs in an environment; return {config/table: hash of its Parquet file}."""
    found = {}
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    for name in configs:
        with tempfile.TemporaryDirectory() as folder:
            words = ["run", str(_config(name)), "--runs", folder, "--json"]
            # A check of the project's is no trial of it.
            words += ["--set", "registry.store=false"]
            command = [sys.executable, "-W", "ignore", "-c", "from barograph.cli import main; main()", *words]
            more = {"PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "0", **ENVIRONMENTS[environment]}
            done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            run = Path(json.loads(done.stdout)["folder"])
            for table in sorted(run.glob("*.parquet")):
                found[f"{name}/{table.stem}"] = hashlib.sha256(table.read_bytes()).hexdigest()
    return found


def main() -> None:
    """Run every config everywhere, and name what differs."""
    found = {name: hashes(CONFIGS, name) for name in ENVIRONMENTS}
    for name, other in found.items():
        odd = [table for table, digest in other.items() if digest != found["native"][table]]
        print(f"{name:<12} {len(other)} tables of {len(CONFIGS)} configs, {len(odd)} differ {' '.join(odd)}")
    if any(other != found["native"] for other in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
