#!/usr/bin/env python3
"""Writes packets.txt: packets of every algorithm, sealed without linehaul.

The ciphers are OpenSSL's, through Python's cryptography; what goes around them
is written here a second time, from the RFCs. Run: python3 packets.py > packets.txt
"""
import hashlib
import hmac
import warnings

warnings.simplefilter("ignore")
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, Blowfish, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

drawn = 0


def some(n):
    """n bytes that are the same in each run."""
    global drawn
    out = b""
    while len(out) < n:
        out += hashlib.sha256(b"linehaul %d" % drawn).digest()
        drawn += 1
    return out[:n]


def run(algorithm, mode, data):
    e = Cipher(algorithm, mode).encryptor()
    return e.update(data) + e.finalize()


def xcbc(key, data):
    """RFC 3566 section 4."""
    aes = lambda k, b: run(AES(k), modes.ECB(), b)
    xor = lambda a, b: bytes(x ^ y for x, y in zip(a, b))
    k1, k2, k3 = (aes(key, bytes([i]) * 16) for i in (1, 2, 3))
    blocks = [data[i : i + 16] for i in range(0, len(data), 16)] or [b""]
    chain = bytes(16)
    for b in blocks[:-1]:
        chain = aes(k1, xor(chain, b))
    last = blocks[-1]
    last = xor(last, k2) if len(last) == 16 else xor(last + b"\x80" + bytes(15 - len(last)), k3)
    return aes(k1, xor(chain, last))


def cmac(key, data):
    c = CMAC(AES(key))
    c.update(data)
    return c.finalize()


def hmac_of(name):
    return lambda key, data: hmac.new(key, data, name).digest()


INTEGRITY = {  # name: key, ICV, function
    "md5": (16, 12, hmac_of("md5")),
    "sha1": (20, 12, hmac_of("sha1")),
    "sha256": (32, 16, hmac_of("sha256")),
    "sha384": (48, 24, hmac_of("sha384")),
    "sha512": (64, 32, hmac_of("sha512")),
    "aesxcbc": (16, 12, xcbc),
    "aescmac": (16, 12, cmac),
}
CBC = {  # name: key, block, cipher
    "aes128": (16, 16, AES), "aes192": (24, 16, AES), "aes256": (32, 16, AES),
    "3des": (24, 8, TripleDES), "des": (8, 8, lambda k: TripleDES(k * 3)),
    "blowfish128": (16, 8, Blowfish), "blowfish192": (24, 8, Blowfish), "blowfish256": (32, 8, Blowfish), "blowfish448": (56, 8, Blowfish),
    "cast128": (16, 8, CAST5),
}


def line(name, head, high, counter, key, integrity, content, packet):
    print(name, head.hex(), high.hex() or "-", counter, key.hex() or "-", integrity.hex() or "-", content.hex() or "-", packet.hex())


def separate(name, integrity, n, high):
    head, counter = some(8), int.from_bytes(some(8), "big")
    if name == "null":
        key, iv, content = b"", b"", some(n)
        body = content
    elif name.endswith("ctr"):
        size = int(name[3:6]) // 8
        key, content, iv = some(size + 4), some(n), counter.to_bytes(8, "big")
        body = run(AES(key[:size]), modes.CTR(key[size:] + iv + b"\0\0\0\1"), content)
    else:
        size, block, cipher = CBC[name]
        key, content = some(size), some(n // block * block)
        iv = run(cipher(key), modes.ECB(), counter.to_bytes(block, "big"))
        body = run(cipher(key), modes.CBC(iv), content)
    size, icv, function = INTEGRITY[integrity]
    ikey = some(size)
    packet = head + iv + body
    line(name + "-" + integrity, head, high, counter, key, ikey, content, packet + function(ikey, packet + high)[:icv])


def combined(name, make, size, salt, cut, n, high):
    head, counter = some(8), int.from_bytes(some(8), "big")
    key, content, iv = some(size + salt), some(n), counter.to_bytes(8, "big")
    sealed = make(key[:size]).encrypt(key[size:] + iv, content, head[:4] + high + head[4:])
    line(name, head, high, counter, key, b"", content, packet=head + iv + sealed[: len(sealed) - cut])


print("# Sealed by %s, not by linehaul: packets.py." % backend.openssl_version_text().rsplit(" ", 3)[0])
print("# suite head high counter encryption-key integrity-key content packet")
for n in (0, 4, 33, 160):
    for high in (b"", bytes([0, 0, 1, n])):
        for name in CBC:
            separate(name, "sha256", n, high)
        for name in ("aes128ctr", "aes192ctr", "aes256ctr", "null"):
            separate(name, "sha256", n, high)
        for integrity in INTEGRITY:
            if integrity != "sha256":
                separate("aes128ctr", integrity, n, high)
        for bits in (128, 192, 256):
            for icv in (8, 12, 16):
                combined("aes%dgcm%d" % (bits, icv), AESGCM, bits // 8, 4, 16 - icv, n, high)
                combined("aes%dccm%d" % (bits, icv), lambda k: AESCCM(k, icv), bits // 8, 3, 0, n, high)
        combined("chacha20poly1305", ChaCha20Poly1305, 32, 4, 0, n, high)
