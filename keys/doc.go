// Package keys decides who we are to a server, and whether the server is who
// it should be.
//
// Load reads a private key file and the OpenSSH certificate beside it, and
// makes what a server is offered. ParsePrivate and Marshal read and write a
// key's content alone, Inspect says what can be told without a passphrase:
// OpenSSH's format (PROTOCOL.key), PEM (RFC 8017, RFC 5915, RFC 1423), PKCS#8
// (RFC 5958, RFC 8018, RFC 7292, RFC 7914) and, by the package ppk, PuTTY's.
// OpenAgent reaches an ssh-agent. HostKeys holds a server's key against pins
// and known_hosts files, with the meaning that OpenSSH gives them (sshd(8),
// SSH_KNOWN_HOSTS FILE FORMAT); it never asks and never adds a key. The
// algorithm lists say what is offered to a server.
//
// Left out, each refused by name with what to do instead: the formats of
// ssh.com, SSH-1 and Dropbear, binary PKCS#8 and PKCS#12, keys encrypted with
// RC2, RC4, Camellia, ARIA or SEED, Ed448, DSA of other sizes than 1024 bits,
// RSA below 1024 bits or of more than two primes, and curves that SSH does not
// use. DSA and signatures with SHA-1 serve only hosts whose `legacy` names them.
package keys
