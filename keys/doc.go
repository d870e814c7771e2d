// Package keys decides who we are to a server, and whether the server is who
// it should be.
//
// Load reads a private key file: OpenSSH (PROTOCOL.key), PEM (PKCS#1, SEC 1)
// and plain PKCS#8, and the OpenSSH certificate beside it. OpenAgent reaches
// an ssh-agent. HostKeys holds a server's key against pins and known_hosts
// files, with the meaning that OpenSSH gives them (sshd(8), SSH_KNOWN_HOSTS
// FILE FORMAT); it never asks and never adds a key. The algorithm lists say
// what is offered to a server.
//
// Left out so far: PuTTY's .ppk files, encrypted PKCS#8, OpenSSH files whose
// cipher is not AES-256 in CTR or CBC mode, agents on Windows, and algorithms
// of the past such as ssh-dss and ssh-rsa with SHA-1. Each is refused by name.
package keys
