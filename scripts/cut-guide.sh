#!/usr/bin/env bash
# Usage: scripts/cut-guide.sh GUIDE LANGUAGE ENDING FOLDER
#
# Writes the programs of a guide, as a new user would copy them, into FOLDER: Guide1.ENDING is the first that is fenced as LANGUAGE.
set -euo pipefail

awk -v language="$2" -v ending="$3" -v folder="$4" '
    $0 == "```" language { file = folder "/Guide" ++n "." ending; printf "" > file; next }
    $0 == "```"          { file = "" }
    file                 { print > file }
    END                  { if (!n) { print FILENAME " has no program in " language > "/dev/stderr"; exit 1 } }' "$1"
