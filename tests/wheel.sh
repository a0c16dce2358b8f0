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
# Every file of the sources is in the wheel: data, templates, migrations, type marks.
for package in engine/barograph models/barograph_models strategies/barograph_strategies adapters/barograph_adapters; do
    (cd "$root/$package" && find . -type f ! -path '*/__pycache__/*' | sort) > "$work/sources"
    (cd "$site/$(basename "$package")" && find . -type f ! -path '*/__pycache__/*' | sort) > "$work/installed"
    diff "$work/sources" "$work/installed"
done
# What a wheel can change is where things are found: commands, configs, parts by name, what counts as installed code, copies
# of the package, templates, migrations, fresh processes, documents. Arithmetic, clauses, servers and kills it cannot; the
# sources were tested so already.
found="cli/test_cli cli/test_fit cli/test_paper_mistakes cli/test_sweep config/test_config_mistakes config/test_modules
    config/test_reached adapters/test_loaders audit/test_audit paper/test_commands paper/test_old_store paper/alerts/test_outbox
    report/test_report loop/test_wiring trials/test_command test_readme test_rules test_start"
"$work/venv/bin/python" -m pytest -n auto --dist worksteal -p no:cacheprovider $(printf 'tests/%s.py ' $found)
