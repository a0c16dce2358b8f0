#!/bin/sh
# Build the wheel, install it beside the locked dependencies, and run the tests against it where no source can be seen.
set -eu
python="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" -m build --quiet --wheel --no-isolation --outdir "$work/dist" "$root"
"$python" -m venv --without-pip "$work/venv"
purelib='import sysconfig; print(sysconfig.get_paths()["purelib"])'
packages="$("$python" -c "$purelib")"
site="$("$work/venv/bin/python" -c "$purelib")"
# The dependencies are those of the environment; its editable install of this project must not be seen.
for entry in "$packages"/*; do
    case "$(basename "$entry")" in
        *barograph*) ;;
        *) ln -s "$entry" "$site/" ;;
    esac
done
"$work/venv/bin/python" -m zipfile -e "$work"/dist/barograph-*.whl "$site"
mkdir "$work/project"
cd "$root"
cp -r tests configs benchmarks docs README.md CHANGELOG.md CONTRIBUTING.md pyproject.toml requirements.lock "$work/project"
[ ! -d ../shared ] || ln -s "$(cd ../shared && pwd)" "$work/shared"
cd "$work/project"
"$work/venv/bin/python" -c 'import barograph; assert "site-packages" in barograph.__file__, barograph.__file__'
# What takes its time looks at servers, clocks and kills, runs thousands of accounts, or is arithmetic, none of which a
# wheel changes; the sources were tested so already.
long="paper/test_crashes adapters/test_migrations paper/test_sessions paper/test_parity_paper paper/test_cycles paper/test_runner
    adapters/test_notify adapters/test_broker adapters/test_feed_exchange adapters/test_feed_stream adapters/test_feed_yahoo
    adapters/test_feed_database test_reading test_markets test_oracle test_laws cli/test_warm audit/test_leaks audit/test_lags
    models/test_check_model models/test_student_hmm models/test_student_draws models/test_student_panel models/test_gaussian_hmm models/test_emission
    audit/test_source audit/test_holdings execution/test_review execution/test_at_target execution/test_waiting execution/test_grid
    execution/test_solvency jit/test_cache jit/test_arithmetic test_processors regimes/test_mixture strategies/test_strategies
    loop/test_forecasts loop/test_refits loop/test_failures trials/test_registry trials/test_entering"
"$work/venv/bin/python" -m pytest -n auto -p no:cacheprovider tests $(printf -- '--ignore=tests/%s.py ' $long)
