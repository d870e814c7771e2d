package keys

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// The first bytes of the files that are told apart. A file's name says
// nothing.
const (
	startPuTTY  = "PuTTY-User-Key-File-"
	startSSH1   = "SSH PRIVATE KEY FILE FORMAT 1.1"
	startSSHCom = "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----" // also when it is not encrypted
	startPublic = "---- BEGIN SSH2 PUBLIC KEY ----"            // RFC 4716
	byteOrder   = "\ufeff"                                     // what some editors on Windows put first
)

// privateText decides by content what a key file is. It returns the PEM text
// of a private key, which OpenSSH's own format is written in too, and refuses
// everything else by name.
func privateText(path string, data []byte) ([]byte, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte(byteOrder)))
	starts := func(prefix string) bool { return bytes.HasPrefix(text, []byte(prefix)) }
	first, _, _ := bytes.Cut(text, []byte(" "))
	switch {
	case len(text) == 0:
		return nil, badKey(path, "it is empty").WithHint("restore it from a backup, or make a new key with `ssh-keygen -t ed25519`")
	case starts(startPuTTY):
		return nil, badKey(path, "it is a PuTTY key, and this version does not load .ppk yet").
			WithHint("%s", byPuttygen(path))
	case starts(startSSH1):
		return nil, badKey(path, "it is an SSH-1 key").
			WithHint("no server takes SSH-1 any more: make a new key with `ssh-keygen -t ed25519`")
	case starts(startSSHCom):
		return nil, badKey(path, "it is a key in the format of ssh.com, which this version does not load").
			WithHint("%s", byPuttygen(path))
	case bytes.HasSuffix(first, []byte(certSuffix)):
		return nil, badKey(path, "it is a certificate, not a private key").
			WithHint("%s; a certificate is found by itself when it lies beside its key as KEY-cert.pub", privateName(path, "-cert.pub"))
	case starts(startPublic), slices.Contains(keyTypes(), string(first)):
		return nil, publicGiven(path)
	}
	return pemText(path, text)
}

// pemText returns the text from the first private key on. Other blocks may
// stand before it, as EC PARAMETERS do in OpenSSL's files.
func pemText(path string, text []byte) ([]byte, error) {
	const begin, dashes = "-----BEGIN ", "-----"
	label := ""
	for rest, offset := text, 0; ; {
		i := bytes.Index(rest, []byte(begin))
		if i < 0 {
			break
		}
		offset += i
		rest = rest[i+len(begin):]
		name, _, _ := bytes.Cut(rest, []byte(dashes))
		label = string(name)
		switch {
		case label == "ENCRYPTED PRIVATE KEY":
			return nil, badKey(path, "it is an encrypted PKCS#8 key, which this version does not load yet").
				WithHint("`ssh-keygen -p -f %s` asks for the passphrase and rewrites the file in OpenSSH's format", shellQuote(path))
		case strings.HasSuffix(label, "PRIVATE KEY"):
			return text[offset:], nil
		}
		offset += len(begin)
	}
	if strings.HasSuffix(label, "PUBLIC KEY") {
		return nil, publicGiven(path)
	}
	return nil, badKey(path, "it is not a private key").
		WithHint("name a private key file after `keys:`; one in OpenSSH's format starts with -----BEGIN OPENSSH PRIVATE KEY-----")
}

// byPuttygen says how a file of another program becomes one that we load.
func byPuttygen(path string) string {
	return fmt.Sprintf("`puttygen %s -O private-openssh -o OUT` converts it (on Windows: Conversions, Export OpenSSH key, in PuTTYgen); then name OUT after `keys:`", shellQuote(path))
}

// An envelope is the part of OpenSSH's format that is not encrypted, after the
// magic "openssh-key-v1" and a zero byte (PROTOCOL.key).
type envelope struct {
	Cipher     string
	KDF        string
	KDFOptions []byte
	Count      uint32
	PublicKey  []byte
	Private    []byte
	Rest       []byte `ssh:"rest"`
}

// parseEnvelope reads the envelope of a key in OpenSSH's format.
func parseEnvelope(text []byte) (envelope, bool) {
	var e envelope
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "OPENSSH PRIVATE KEY" {
		return e, false
	}
	raw, ok := bytes.CutPrefix(block.Bytes, []byte("openssh-key-v1\x00"))
	return e, ok && ssh.Unmarshal(raw, &e) == nil
}

// maxRounds is the SSH library's limit on the cost of a passphrase; ssh-keygen
// takes 16 by default.
const maxRounds = 2048

// checkEnvelope refuses by name what the SSH library would call damaged.
func checkEnvelope(path string, text []byte) error {
	e, ok := parseEnvelope(text)
	if !ok {
		return nil
	}
	var kdf struct {
		Salt   []byte
		Rounds uint32
	}
	switch keyType := blobType(e.PublicKey); {
	case strings.HasPrefix(keyType, "sk-"):
		return badKey(path, "it is a security key: the private half is in the token, and only an agent can use it").
			WithHint("add it to an agent with `ssh-add %s`, and write `agent` after `keys:`", shellQuote(path))
	case len(typeAlgorithms(PublicKeyAlgorithms(), keyType)) == 0 && slices.Contains(keyTypes(), keyType):
		return unsupported(path, "it is of type "+keyType+", which this version does not log in with")
	case len(typeAlgorithms(PublicKeyAlgorithms(), keyType)) == 0 && keyType != "":
		return unsupported(path, "it is of a type that this version does not know")
	case !slices.Contains([]string{"none", "aes256-ctr", "aes256-cbc"}, e.Cipher):
		return badKey(path, "it is encrypted with a cipher that this version does not read yet").
			WithHint("`ssh-keygen -p -Z aes256-ctr -f %s` encrypts it anew", shellQuote(path))
	case e.KDF == "bcrypt" && ssh.Unmarshal(e.KDFOptions, &kdf) == nil && kdf.Rounds > maxRounds:
		return badKey(path, "its passphrase takes %d rounds of bcrypt, and at most %d are spent on it", kdf.Rounds, maxRounds).
			WithHint("`ssh-keygen -p -a 64 -f %s` encrypts it anew", shellQuote(path))
	}
	return nil
}

// badKey says that the key file path cannot be used, and why.
func badKey(path, format string, args ...any) *fault.Error {
	return fault.New(fault.Key, "load key %q: %w", path, fmt.Errorf(format, args...))
}

func damaged(path string) error {
	return badKey(path, "it is damaged: its content is no valid key").
		WithHint("restore it from a backup, or make a new key with `ssh-keygen -t ed25519`")
}

func unsupported(path, why string) error {
	return badKey(path, "%s", why).WithHint("make a key that every server of today takes: `ssh-keygen -t ed25519`")
}

func publicGiven(path string) error {
	return badKey(path, "it is a public key; the private one is needed to log in").WithHint("%s", privateName(path, ".pub"))
}

// privateName says which private key file belongs to a public one.
func privateName(path, suffix string) string {
	if private, ok := strings.CutSuffix(path, suffix); ok {
		if info, err := os.Stat(private); err == nil && info.Mode().IsRegular() {
			return fmt.Sprintf("the private key seems to be %s: name that one", shellQuote(private))
		}
	}
	return "name the private key file: it usually has the same name without " + suffix
}

// shellQuote writes a path so that it can be pasted into a shell.
func shellQuote(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=@%,.:/~"
	switch {
	case path != "" && strings.Trim(path, plain) == "":
		return path
	case strings.ContainsAny(path, `\`) && !strings.ContainsAny(path, `"'`):
		return `"` + path + `"` // a Windows path, as every shell there takes it
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
