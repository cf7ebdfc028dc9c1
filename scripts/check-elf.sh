#!/usr/bin/env bash
# Usage: scripts/check-elf.sh LIBRARY.so...
#
# Whether phones with pages of 16 KB can load each library: every LOAD segment is aligned to 0x4000 or more. Says its size,
# as it is and as the installer packs it. Exit code 1 when one cannot.
set -euo pipefail

reader=readelf
command -v "$reader" > /dev/null || reader=llvm-readelf
bad=0
for library; do
    aligned=yes
    while read -r align; do
        [ $((align)) -ge $((0x4000)) ] || aligned=no
    done < <("$reader" --program-headers --wide "$library" | awk '$1 == "LOAD" { print $NF }')
    # 32-bit ABIs have pages of 4 KB for ever.
    class=$("$reader" --file-header "$library" | awk '/Class:/ { print $2 }')
    if [ "$aligned" = no ] && [ "$class" = ELF64 ]; then
        bad=1
    fi
    size=$(wc -c < "$library")
    packed=$(gzip -9 -c "$library" | wc -c)
    printf '%s: %s, 16 KB pages: %s, %d bytes, %d packed\n' "$library" "$class" "$aligned" "$size" "$packed"
done
exit "$bad"
