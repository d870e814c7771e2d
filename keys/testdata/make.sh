#!/bin/sh
# Makes the keys of this folder anew. They are for tests only: nothing is to be
# reached with them. Needs OpenSSH 9.2 (newer ones make no DSA), OpenSSL and
# puttygen. The passphrase of all that have one is sesame.
set -e
cd "$(dirname "$0")"
rm -f -- *.pub *.pem *.ppk ed25519* rsa* ecdsa* dsa* ca* other*
gen() { ssh-keygen -q -N "${pass-}" -C "$1 comment" -f "$@"; }

gen ed25519 -t ed25519
gen rsa -t rsa -b 2048
gen ecdsa256 -t ecdsa -b 256
gen ecdsa384 -t ecdsa -b 384
gen ecdsa521 -t ecdsa -b 521
gen dsa -t dsa
gen other -t ed25519
gen ca -t ed25519
gen ca_rsa -t rsa -b 2048

# PEM: PKCS#1, SEC 1, PKCS#8, with and without a passphrase.
gen rsa_pkcs1.pem -t rsa -b 2048 -m PEM
gen dsa_old.pem -t dsa -m PEM
gen ecdsa_pkcs8.pem -t ecdsa -b 256 -m PKCS8
openssl ecparam -name prime256v1 -genkey -out ecdsa_params.pem
openssl genpkey -algorithm ed25519 -out ed25519_pkcs8.pem
openssl genpkey -algorithm x25519 -out x25519_pkcs8.pem
openssl req -x509 -key ecdsa_params.pem -subj /CN=linehaul -days 3650 -out x509.pem
openssl genrsa -traditional -out rsa_short.pem 768

pass=sesame
gen rsa_pkcs1_aes.pem -t rsa -b 2048 -m PEM
openssl rsa -traditional -in rsa_pkcs1.pem -des3 -passout pass:sesame -out rsa_pkcs1_3des.pem
openssl pkcs8 -topk8 -in ecdsa_params.pem -passout pass:sesame -out ecdsa_pkcs8_enc.pem
gen ed25519_enc -t ed25519 -a 1
gen rsa_enc -t rsa -b 2048 -a 1
gen ed25519_cbc -t ed25519 -a 1 -Z aes256-cbc
gen ed25519_aes128 -t ed25519 -a 1 -Z aes128-ctr
gen ed25519_gcm -t ed25519 -a 1 -Z aes256-gcm@openssh.com
unset pass

# Other programs' formats.
puttygen ed25519 -O private -o ed25519.ppk
puttygen rsa -O private-sshcom -o rsa_sshcom.pem
ssh-keygen -e -f ed25519.pub > ed25519_rfc4716.pub

# Certificates: for a user, for a host; by an authority of each kind.
ssh-keygen -q -s ca -I tester -n tester -V 20260101:20360101 ed25519.pub
ssh-keygen -q -s ca -I tester -n tester -V 20260101:20360101 rsa.pub
cp other.pub host.pub
ssh-keygen -q -s ca -h -I host -n db.example.net -V 20260101:20360101 host.pub

# Public halves that would only be in the way.
rm -f dsa_old.pem.pub ecdsa_pkcs8.pem.pub rsa_pkcs1.pem.pub host.pub
