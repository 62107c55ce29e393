#!/bin/sh
# Runs a script that opens pages in headless Chromium and judges what browser and axe-core find.
#   run.sh SCRIPT [ARGUMENTS OF THE SCRIPT]
# Exit codes: the script's, and 3 for nothing to check with (no Chromium, or no npm registry).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=${BROWSER_TEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/participation-browser-tests}
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$chromium" ] || { echo "Chromium is not installed (apt-get install chromium)"; exit 3; }
command -v npm >/dev/null || { echo "npm is not installed"; exit 3; }
mkdir -p "$tools"
cp "$here/package.json" "$tools/"
[ -d "$tools/node_modules/axe-core" ] && [ -d "$tools/node_modules/playwright-core" ] ||
  npm install --prefix "$tools" --no-audit --no-fund --ignore-scripts --silent ||
  { echo "playwright-core and axe-core cannot be installed from the npm registry"; exit 3; }
CHROMIUM=$chromium TOOLS=$tools exec node "$@"
