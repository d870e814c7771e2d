#!/bin/sh
# Makes the key files of this folder and MANIFEST anew. They are for tests only:
# nothing is to be reached with them. Needs puttygen 0.78 and OpenSSH.
#
# MANIFEST has a line for each file, with tabs between: file, version, key
# derivation ("none" if not encrypted), type, bits and fingerprint as puttygen
# prints them, passphrase, comment with bytes beyond ASCII in octal, \ooo
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
rm -f -- *.ppk MANIFEST
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
: > "$tmp/empty"

# record FILE VERSION KDF PASSPHRASE COMMENT
record() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(puttygen -l "$1" | cut -d ' ' -f 1-3 | tr ' ' '\t')" "$4" "$5" >> MANIFEST
}

# write FROM FILE VERSION KDF PASSPHRASE COMMENT [PARAMETERS]
write() {
	printf '%s\n' "$5" > "$tmp/pass"
	[ "$4" != none ] || : > "$tmp/pass"
	param=version=$3
	case $4 in Argon2*) param=$param,kdf=$(echo "$4" | tr A-Z a-z) ;; esac
	puttygen "$1" -O private -P --old-passphrase "$tmp/empty" --new-passphrase "$tmp/pass" -C "$(printf "$6")" \
		--ppk-param "$param${7+,$7}" -o "$2"
	chmod 644 "$2"
	record "$2" "$3" "$4" "$5" "$6"
}

# key NAME: the plain file that others are made of
key() {
	name=$1
	shift
	puttygen -q "$@" -C "$name" -o "$tmp/$name" --new-passphrase "$tmp/empty" --random-device /dev/urandom 2> "$tmp/log" || cat "$tmp/log"
}

key rsa1024 -t rsa -b 1024
key rsa2048 -t rsa -b 2048
key rsa3072 -t rsa -b 3072
# A private half of whole blocks, to which nothing is padded.
until [ "${size:-1}" = 0 ]; do
	key rsa2192 -t rsa -b 2192
	size=$(($(sed -n '/^Private-Lines/,/^Private-MAC/{/:/!p}' "$tmp/rsa2192" | base64 -d | wc -c) % 16))
done
key dsa1024 -t dsa -b 1024
key dsa2048 -t dsa -b 2048
key ecdsa256 -t ecdsa -b 256
key ecdsa384 -t ecdsa -b 384
key ecdsa521 -t ecdsa -b 521
key ed25519 -t ed25519
key ed448 -t ed448

# Every type, with and without encryption, in both versions.
for name in rsa1024 rsa2048 rsa2192 dsa1024 ecdsa256 ecdsa384 ecdsa521 ed25519; do
	write "$tmp/$name" $name-2.ppk 2 none '' "$name"
	write "$tmp/$name" $name-2-enc.ppk 2 SHA1 sesame "$name"
	write "$tmp/$name" $name-3.ppk 3 none '' "$name"
	write "$tmp/$name" $name-3-enc.ppk 3 Argon2id sesame "$name" memory=256,passes=2
done
write "$tmp/rsa3072" rsa3072-3-enc.ppk 3 Argon2id sesame rsa3072 memory=256,passes=2

# Key derivation: PuTTY's own choice, and odd numbers.
write "$tmp/ed25519" kdf-default.ppk 3 Argon2id sesame 'own choice'
for kdf in Argon2id Argon2i Argon2d; do
	write "$tmp/ed25519" kdf-$kdf-least.ppk 3 $kdf sesame $kdf memory=8,passes=1
	write "$tmp/ed25519" kdf-$kdf-odd.ppk 3 $kdf sesame $kdf memory=1001,passes=3,parallelism=5
	write "$tmp/ed25519" kdf-$kdf-lanes.ppk 3 $kdf sesame $kdf memory=2047,passes=2,parallelism=255
	write "$tmp/ed25519" kdf-$kdf-large.ppk 3 $kdf sesame $kdf memory=4096,passes=3,parallelism=2
done

# Passphrases and comments.
write "$tmp/ed25519" pass-utf8-2.ppk 2 SHA1 'pässwörd €😀' utf8
write "$tmp/ed25519" pass-utf8-3.ppk 3 Argon2id 'pässwörd €😀' utf8 memory=256,passes=2
write "$tmp/ed25519" pass-spaces.ppk 3 Argon2id ' two  words ' spaces memory=256,passes=2
write "$tmp/ed25519" pass-long.ppk 3 Argon2id "$(printf '%0200d' 7)" long memory=256,passes=2
for v in 2 3; do
	write "$tmp/ed25519" comment-empty-$v.ppk $v none '' ''
	write "$tmp/ed25519" comment-spaces-$v.ppk $v none '' '  imported  from: PuTTY #1 '
	write "$tmp/ed25519" comment-utf8-$v.ppk $v none '' 'gr\303\274\303\237e \360\237\230\200'
	write "$tmp/ed25519" comment-latin1-$v.ppk $v none '' 'gr\374\337e'
	write "$tmp/ed25519" comment-long-$v.ppk $v none '' "$(printf '%0900d' 9)"
done

# Certificates.
ssh-keygen -q -t ed25519 -N '' -C ca -f "$tmp/ca"
for name in rsa2048 dsa1024 ecdsa256 ecdsa384 ecdsa521 ed25519; do
	puttygen -L "$tmp/$name" > "$tmp/$name.pub"
	ssh-keygen -q -s "$tmp/ca" -I "$name" -n jephe,root -O source-address=10.0.0.0/8 "$tmp/$name.pub"
	puttygen "$tmp/$name" --certificate "$tmp/$name-cert.pub" -O private -o "$tmp/$name.cert"
	write "$tmp/$name.cert" cert-$name.ppk 3 none '' "$name"
done
write "$tmp/ed25519.cert" cert-ed25519-2-enc.ppk 2 SHA1 sesame ed25519
write "$tmp/ed25519.cert" cert-ed25519-enc.ppk 3 Argon2id sesame ed25519 memory=256,passes=2

# What is refused by name.
write "$tmp/dsa2048" no-dsa2048.ppk 3 none '' dsa2048
write "$tmp/ed448" no-ed448.ppk 3 none '' ed448
write "$tmp/ed448" no-ed448-enc.ppk 3 Argon2id sesame ed448 memory=256,passes=2
