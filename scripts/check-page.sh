#!/usr/bin/env bash
# Usage: scripts/check-page.sh URL [HASH]
#
# Fetches the page that a relay, or any other server, serves at URL and says whether it is the one that was published: each file is
# what sha256sums.txt says, the document names no others, and the hash of sha256sums.txt is HASH. Without HASH that of the
# page in web/dist/page is taken (`make web`). Needs curl and sha256sum or shasum. Exit code 1: it is another page.
set -euo pipefail

url=${1:?"usage: $0 URL [HASH]"}
url=${url%/}
sums=sha256sums.txt
if command -v sha256sum > /dev/null; then sha() { sha256sum "$@"; }; else sha() { shasum -a 256 "$@"; }; fi
own=$(cd "$(dirname "$0")/.." && pwd)/web/dist/page/$sums
wanted=${2:-}
if [ -z "$wanted" ]; then
    [ -r "$own" ] || { echo "give the published hash, or build the page to compare with: make web" >&2; exit 2; }
    wanted=$(sha < "$own" | cut -d ' ' -f 1)
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
other() {
    echo "ANOTHER PAGE: $1"
    exit 1
}
get() { curl --silent --show-error --fail --proto '=http,https' --max-time 60 --max-filesize 16777216 --output "$folder/$2" "$url/$1"; }

get "$sums" "$sums" || other "it has no $sums"
found=$(sha < "$folder/$sums" | cut -d ' ' -f 1)
echo "sha256 of the bundle: $found"
# Names of files beside it and nothing else: what was fetched must not say where it is written.
grep -qvE '^[0-9a-f]{64}  [A-Za-z0-9][A-Za-z0-9.-]*$' "$folder/$sums" && other "$sums is no list of files"
while read -r _ name; do
    get "$name" "$name" || other "$name is missing"
done < "$folder/$sums"
(cd "$folder" && sha --check --quiet "$sums" 2> /dev/null) || other "a file is not what $sums says"
# The document at the address itself is the one that the list names.
get "" .first || other "there is no document"
cmp -s "$folder/.first" "$folder/index.html" || other "the address gives another document than index.html"
for name in $(grep -oE '(src|href)="[^"]+"' "$folder/index.html" | cut -d '"' -f 2); do
    [ "$name" = data:, ] || grep -qF "  $name" "$folder/$sums" || other "the document names $name, which is not in $sums"
done
[ "$found" = "$wanted" ] || other "the published one is $wanted"
echo "It is the page that was published."
