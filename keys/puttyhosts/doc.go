// Package puttyhosts reads the host keys that PuTTY, plink, pscp and psftp have
// cached for a user, as PuTTY 0.78 writes them.
//
// On Windows the cache is the registry key
// HKEY_CURRENT_USER\Software\SimonTatham\PuTTY\SshHostKeys, with a string value
// for each key. Elsewhere it is the file ~/.putty/sshhostkeys, or another that
// Read names, with a line for each key:
//
//	TYPE@PORT:HOST NUMBERS         in the file
//	TYPE@PORT:HOST = "NUMBERS"     in the registry, with HOST escaped
//
//	TYPE                           NUMBERS                  key on the wire
//	rsa2                           0xE,0xN                  ssh-rsa       E, N
//	dss                            0xP,0xQ,0xG,0xY          ssh-dss       P, Q, G, Y
//	ecdsa-sha2-nistp256, 384, 521  nistp256,0xX,0xY         the same      04 X Y
//	ssh-ed25519                    0xX,0xY                  ssh-ed25519   Y, and X's last bit
//	ssh-ed448                      0xX,0xY                  left out
//	rsa                            0xE,0xN                  left out: SSH-1
//
// The numbers are hexadecimal without zeros before them. HOST is spelled as the
// user did, in upper or lower case, or is what -loghost names; an IPv6 address
// stands without brackets. The file holds it as it is. In the registry a dot at
// its beginning, space, \ * ? % and all that is not printable ASCII are %XX.
//
// PuTTY compares the text of the numbers. Here a point must also be on its
// curve, and each number in its range, as a key that is made of them is used
// for more than to compare.
//
// Left out: SSH-1 keys, also those without a type that PuTTY wrote before 0.52,
// Ed448, and names that known_hosts could take for something else.
package puttyhosts
