#!/usr/bin/env python3
"""Writes exchanges.txt: key exchanges done without linehaul.

Curves and ML-KEM are OpenSSL's, through Python's cryptography; MODP is Python's
pow with primes from a series for pi. Run: python3 exchanges.py > exchanges.txt
"""
import hashlib

from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

drawn = 0


def some(n):
    """n bytes that are the same in each run."""
    global drawn
    out = b""
    while len(out) < n:
        out += hashlib.sha512(b"exchange %d" % drawn).digest()
        drawn += 1
    return out[:n]


def line(method, random, public, peer, shared):
    print(method, random.hex(), hashlib.sha256(public).hexdigest(), peer.hex(), hashlib.sha256(shared).hexdigest())


def pi(bits):
    """floor(2^bits * pi), by Euler's series for the arc tangent of 1/2 and 1/3."""
    unit = 1 << (bits + 64)

    def atan(x):
        term = unit * x // (x * x + 1)
        total, n = 0, 1
        while term:
            total += term
            term = term * 2 * n // ((2 * n + 1) * (x * x + 1))
            n += 1
        return total

    return 4 * (atan(2) + atan(3)) >> 64


MODP = {768: (149686, 32), 1024: (129093, 32), 1536: (741804, 32), 2048: (124476, 40), 3072: (1690314, 53), 4096: (240904, 60),
        6144: (929484, 68), 8192: (4743158, 78)}


def modp(bits):
    k, size = MODP[bits]
    p = 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi(bits - 130) + k)
    random = some(size)
    x = int.from_bytes(random, "big") | 1 << (8 * size - 1)  # the highest bit is always set
    y = pow(2, int.from_bytes(some(bits // 8), "big"), p)
    out = lambda v: v.to_bytes(bits // 8, "big")
    line("modp%d" % bits, random, out(pow(2, x, p)), out(y), out(pow(y, x, p)))


def ecp(name, curve, size):
    key = lambda b: ec.derive_private_key(int.from_bytes(b, "big"), curve)
    point = lambda k: k.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    random, other = some(size), some(size)
    if size == 66:
        random, other = (bytes([b[0] & 1]) + b[1:] for b in (random, other))
    ours, theirs = key(random), key(other)
    line(name, random, point(ours), point(theirs), ours.exchange(ec.ECDH(), theirs.public_key()))


def montgomery(name, kind, size):
    random = some(size)
    ours, theirs = kind.from_private_bytes(random), kind.from_private_bytes(some(size))
    line(name, random, ours.public_key().public_bytes_raw(), theirs.public_key().public_bytes_raw(), ours.exchange(theirs.public_key()))


def kem(name, kind):
    random = some(64)
    key = kind.from_seed_bytes(random)
    shared, ciphertext = key.public_key().encapsulate()
    line(name, random, key.public_key().public_bytes_raw(), ciphertext, shared)


print("# Computed by %s and Python, not by linehaul: exchanges.py." % backend.openssl_version_text().rsplit(" ", 3)[0])
print("# method random sha256(public) peer sha256(shared)")
for _ in range(2):
    for bits in MODP:
        modp(bits)
for _ in range(5):
    ecp("ecp256", ec.SECP256R1(), 32)
    ecp("ecp384", ec.SECP384R1(), 48)
    ecp("ecp521", ec.SECP521R1(), 66)
    montgomery("x25519", x25519.X25519PrivateKey, 32)
    montgomery("x448", x448.X448PrivateKey, 56)
kem("mlkem768", mlkem.MLKEM768PrivateKey)
kem("mlkem1024", mlkem.MLKEM1024PrivateKey)
