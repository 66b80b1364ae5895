#!/bin/sh
# What somebody who trusts nothing of ours would write, from c2sp.org/tlog-proof and RFC 9162
# section 2.1.3.2 alone: is this record in the log that this key signed for?
#
#     stranger.sh PROOF RECORD KEY.pem        needs openssl, sed, xxd, base64
set -eu
proof=$1 record=$2 key=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the checkpoint: everything after the first empty line; its text ends at the next one
sed '1,/^$/d' "$proof" > "$work/note"
sed '/^$/,$d' "$work/note" > "$work/text"
sed '1,/^$/d' "$work/note" | head -n 1 | sed 's/^.* //' | base64 -d | tail -c +5 > "$work/signature"
openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$work/text" \
    -sigfile "$work/signature" > "$work/said" || { echo "the signature is wrong"; exit 1; }

size=$(sed -n 2p "$work/text")
root=$(sed -n 3p "$work/text" | base64 -d | xxd -p -c 64)
index=$(sed -n 's/^index //p' "$proof")

hash=$({ printf '\000'; cat "$record"; } | openssl dgst -sha256 -binary | xxd -p -c 64)
at=$index last=$((size - 1))
node() { printf '01%s%s' "$1" "$2" | xxd -r -p | openssl dgst -sha256 -binary | xxd -p -c 64; }

for step in $(sed -n '/^index /,/^$/p' "$proof" | sed '1d;/^$/d'); do
    step=$(printf %s "$step" | base64 -d | xxd -p -c 64)
    [ "$last" -gt 0 ] || { echo "too many steps"; exit 1; }
    if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
        hash=$(node "$step" "$hash")
        while [ $((at % 2)) -eq 0 ] && [ "$at" -gt 0 ]; do at=$((at / 2)) last=$((last / 2)); done
    else
        hash=$(node "$hash" "$step")
    fi
    at=$((at / 2)) last=$((last / 2))
done
[ "$last" -eq 0 ] || { echo "too few steps"; exit 1; }
[ "$hash" = "$root" ] || { echo "another root"; exit 1; }
echo "record $index of $size is in the log of $(sed -n 1p "$work/text")"
