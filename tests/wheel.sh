#!/bin/sh
# Build the wheel, install it beside the locked dependencies, move the sources away, and run the tests against it.
set -eu
python="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$root"
"$python" -m build --quiet --wheel --no-isolation --outdir "$work/dist" .
"$python" -m venv --without-pip "$work/venv"
packages="$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
site="$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
# The dependencies are those of the environment; its editable install of this project must not be seen.
for entry in "$packages"/*; do
    case "$(basename "$entry")" in
        barograph-*|_barograph*|*barograph.pth|_editable_impl_barograph*) ;;
        *) ln -s "$entry" "$site/" ;;
    esac
done
"$work/venv/bin/python" -m zipfile -e "$work"/dist/barograph-*.whl "$site"
cp -r tests configs README.md docs pyproject.toml "$work"/
[ ! -d "$root/../shared" ] || ln -s "$(cd "$root/../shared" && pwd)" "$(dirname "$work")/shared" 2>/dev/null || true
cd "$work"
"$work/venv/bin/python" -c 'import barograph; assert "site-packages" in barograph.__file__, barograph.__file__'
"$work/venv/bin/python" -m pytest -n auto -o testpaths=tests -p no:cacheprovider tests
