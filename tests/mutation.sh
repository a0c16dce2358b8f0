#!/bin/sh
# Plant small bugs in the broker code, one at a time, and count those the contract's tests catch.
#   sh tests/mutation.sh PYTHON [FILE ...]     PYTHON has the locked dependencies; FILE lies under engine/barograph/
# In the environment: TESTS (the test files to run), JOBS (at once; every core), MINIMUM (per cent that must be caught).
set -eu
python="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
shift
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- engine/barograph/execution/money.py
mutmut=3.8.1
environment=.venv-mutation
purelib='import sysconfig; print(sysconfig.get_paths()["purelib"])'

# mutmut's own packages live apart from the lock's, which are seen through a link; our editable install is not seen.
if [ ! -e "$environment/ready-$mutmut" ]; then
    rm -rf "$environment"
    "$python" -m venv "$environment"
    "$python" -c "$purelib" >"$("$environment/bin/python" -c "$purelib")/locked.pth"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "mutmut==$mutmut"
    touch "$environment/ready-$mutmut"
fi
"$python" -c "$purelib" >"$("$environment/bin/python" -c "$purelib")/locked.pth"
bin="$PWD/$environment/bin"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -r engine/barograph models/barograph_models strategies/barograph_strategies adapters/barograph_adapters \
    tests configs pyproject.toml "$work"
# Quick tests of the contract: each mutant runs those that reach it, until one fails.
usual="$(ls tests/execution/test_*.py tests/test_*oracle*.py 2>/dev/null || true)"
chosen="$(echo ${TESTS:-$usual})"
cd "$work"

# mutmut leaves decorated functions alone, and every kernel is one: in the copy `@kernel def f` becomes `def f` and,
# at the end of the file, `f = kernel(f)`.
"$bin/python" - "$chosen" "$@" <<'END'
import ast
import re
import sys
from pathlib import Path

tests = sys.argv[1].split()
files = [Path(name) for name in sys.argv[2:]]
for test in tests:
    if not Path(test.partition("::")[0]).is_file():
        sys.exit(f"mutation: there is no {test}; name the tests to run: TESTS='tests/execution/test_clauses.py' make mutation")
for file in files:
    if file.parts[:2] != ("engine", "barograph") or not Path(*file.parts[1:]).is_file():
        sys.exit(f"mutation: {file} is no file under engine/barograph/; name one, such as engine/barograph/execution/clauses.py")
    copy = Path(*file.parts[1:])
    text = copy.read_text()
    marked = re.findall(r"^@(kernel|compiled|shared)\ndef (\w+)", text, re.M)
    # A blank line in the mark's place keeps the numbers of the lines.
    text = re.sub(r"^@(kernel|compiled|shared)\n(?=def )", "\n", text, flags=re.M)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            print(f"mutation: {file}:{node.lineno} {node.name} is decorated, and not mutated")
    copy.write_text(text + "".join(f"\n{name} = {mark}({name})" for mark, name in marked) + "\n")
listed = {
    "source_paths": ["barograph"],
    "only_mutate": ["/".join(file.parts[1:]) for file in files],
    "also_copy": ["barograph_models", "barograph_strategies", "barograph_adapters", "configs"],
    "pytest_add_cli_args": ["-p", "no:cacheprovider"],
    "pytest_add_cli_args_test_selection": tests,
    # A bug that never ends is caught after ten seconds at least; a busy machine needs some room.
    "timeout_constant": 2.0,
    "timeout_multiplier": 5.0,
}
with Path("pyproject.toml").open("a") as out:
    out.write("\n[tool.mutmut]\n" + "".join(f"{key} = {value!r}\n" for key, value in listed.items()))
# Shrinking the example that caught a bug would take longer than catching it.
with Path("tests/conftest.py").open("a") as out:
    out.write(
        "\nfrom hypothesis import Phase, settings\n\n"
        "settings.register_profile('mutation', settings.default, phases=(Phase.explicit, Phase.generate))\n"
        "settings.load_profile('mutation')\n"
    )
END

export NUMBA_DISABLE_JIT=1 PYTHONHASHSEED=0
echo "mutmut $mutmut on $*, caught by $chosen"
if [ -t 1 ]; then
    "$bin/mutmut" run ${JOBS:+--max-children "$JOBS"}
elif ! "$bin/mutmut" run ${JOBS:+--max-children "$JOBS"} >"$work/log" 2>&1; then
    tr '\r' '\n' <"$work/log" | tail -n 60
    exit 1
fi

"$bin/python" - "${MINIMUM:-85}" <<'END'
import ast
import re
import sys
from collections import Counter
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

CAUGHT = {"killed", "timeout", "segfault"}


def changed(name, path, starts):
    """Tell where a surviving mutant differs: file:line function, the line as it is and as it was made."""
    function = re.sub(r"^x(_|.*ǁ)|__mutmut_\d+$", "", name.rpartition(".")[2])
    diff = get_diff_for_mutant(name, path=path).splitlines()
    offset = int(re.match(r"@@ -(\d+)", diff[2])[1]) - 1
    same = next(i for i, line in enumerate(diff[3:]) if line[0] != " ")
    was, made = (" ".join(line[1:].strip() for line in diff[3:] if line[0] == sign) for sign in "-+")
    return f"  engine/{path}:{starts[function] + offset + same} {function}\n    - {was}\n    + {made}"


every = Counter()
for path in sorted(walk_mutatable_files()):
    data = SourceFileMutationData(path=path)
    data.load()
    told = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    nodes = ast.walk(ast.parse(Path(path).read_text()))
    starts = {node.name: node.lineno for node in nodes if isinstance(node, ast.FunctionDef)}
    for name, status in told.items():
        if status not in CAUGHT:
            print(f"{status}:\n{changed(name, path, starts)}")
    caught = sum(status in CAUGHT for status in told.values())
    print(f"engine/{path}: {caught} of {len(told)} caught, {100 * caught / max(1, len(told)):.1f} %")
    every.update(told.values())
total, caught = every.total(), sum(every[status] for status in CAUGHT)
print(", ".join(f"{status} {count}" for status, count in every.most_common()))
if total == 0:
    sys.exit("mutation: nothing was mutated; name files that hold functions")
score = 100 * caught / total
print(f"mutation score: {score:.1f} % of {total}")
if score < float(sys.argv[1]):
    sys.exit(f"mutation: {score:.1f} % is below {sys.argv[1]} %: write the tests that catch the survivors above")
END
