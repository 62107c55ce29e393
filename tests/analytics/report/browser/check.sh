#!/bin/sh
# Opens a report in headless Chromium, in light and dark, wide, on a phone and printed, and fails on
# a console error, a network request, a page wider than the screen, or a serious finding of axe.
#   check.sh PAGE [FOLDER FOR SCREENSHOTS]
# Exit codes: 0 sound, 1 a finding, 3 nothing to check with (no Chromium, or no npm registry).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=${REPORT_CHECK_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/participation-report-check}
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$chromium" ] || { echo "Chromium is not installed (apt-get install chromium)"; exit 3; }
command -v npm >/dev/null || { echo "npm is not installed"; exit 3; }
mkdir -p "$tools"
cp "$here/package.json" "$tools/"
[ -d "$tools/node_modules/axe-core" ] && [ -d "$tools/node_modules/playwright-core" ] ||
  npm install --prefix "$tools" --no-audit --no-fund --ignore-scripts --silent ||
  { echo "playwright-core and axe-core cannot be installed from the npm registry"; exit 3; }
CHROMIUM=$chromium TOOLS=$tools exec node "$here/check.mjs" "$@"
