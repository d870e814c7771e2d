package keys

import (
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/ssh"
)

// KnownHostsLine is the line of a known_hosts file that makes a key known for
// a host, as ssh writes it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
func KnownHostsLine(host string, port int, key ssh.PublicKey) string {
	key = plainKey(key)
	return strings.Join([]string{lookupName(host, port), key.Type(), base64.StdEncoding.EncodeToString(key.Marshal())}, " ")
}

// Fingerprints are those of a key, or of the key that a certificate is for: as
// OpenSSH shows them today, SHA256:…, and as it did, aa:bb:….
func Fingerprints(key ssh.PublicKey) (sha256, md5 string) {
	key = plainKey(key)
	return ssh.FingerprintSHA256(key), ssh.FingerprintLegacyMD5(key)
}
