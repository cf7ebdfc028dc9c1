#!/usr/bin/env bash
# Makes the certificates beside it anew: one authority, and two certificates of it for relay.test. For tests alone. They hold
# from 2020 to 2120, so that no test asks what time it is.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/index.txt"
cat > "$work/ca.conf" <<CONF
[ca]
default_ca = own
[own]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[relay]
basicConstraints = CA:FALSE
subjectAltName = DNS:relay.test, IP:127.0.0.1
CONF
request() { # NAME: a key and a request
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" -subj "/CN=$1"
}
sign() { # NAME SECTION MORE...
    local name=$1 section=$2
    shift 2
    openssl ca -batch -notext -config "$work/ca.conf" -in "$work/$name.csr" -out "$name.pem" -extensions "$section" \
        -startdate 20200101000000Z -enddate 21200101000000Z "$@"
}
request ca
sign ca authority -selfsign -keyfile "$work/ca.key"
for name in one two; do
    request $name
    sign $name relay -cert ca.pem -keyfile "$work/ca.key"
    cp "$work/$name.key" $name.key
done
