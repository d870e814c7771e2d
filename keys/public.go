package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// Public returns the public half of the key in the file path, without a
// passphrase: from the file itself, where OpenSSH's format holds it in the
// clear, or from path.pub. The file may be absent, and path may be the public
// file. It serves to pick the keys of an agent that belong to configured files;
// see Match.
//
// The error is a *fault.Error of kind Key.
func Public(path string) (ssh.PublicKey, error) {
	data, _, err := readKeyFile(path)
	if err == nil {
		defer clear(data)
		var f *file
		if f, err = inspect(data); f != nil && f.Public != nil {
			return f.Public, nil
		}
	}
	if key, _, err := readPublic(path + ".pub"); err == nil {
		return key, nil
	}
	if err != nil {
		return nil, loadError(path, err)
	}
	return nil, loadError(path, refuse(NeedsPassphrase, "`ssh-keygen -y -f FILE > FILE.pub` writes it down",
		"its public half is not to be had without a passphrase"))
}

// certificateBeside returns the user certificate for a key, nil if there is
// none. Where ssh looks for FILE-cert.pub only, a file with an extension may
// also have its certificate under the name without it.
func certificateBeside(path string, public ssh.PublicKey) (*ssh.Certificate, error) {
	const suffix = "-cert.pub"
	names := []string{path + suffix}
	if ext := filepath.Ext(path); ext != "" {
		names = append(names, strings.TrimSuffix(path, ext)+suffix)
	}
	for i, name := range names {
		key, _, err := readPublic(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		cert, isCert := key.(*ssh.Certificate)
		why := ""
		switch {
		case err != nil:
			why = "it cannot be read as a certificate"
		case !isCert:
			why = "it is a plain public key"
		case cert.CertType != ssh.UserCert:
			why = "it is made for a host, not for a user"
		case sameKey(cert.Key, public):
			if wellSigned(cert) {
				return cert, nil
			}
			why = "it is damaged: the signature of its authority does not fit"
		case i == 0:
			why = "it certifies another key"
		default:
			continue // it may belong to a neighbour of the same name
		}
		return nil, fault.New(fault.Key, "load certificate %q of key %q: %s", name, path, why).
			WithHint("have the key certified anew, or take the file away to log in without a certificate")
	}
	return nil, nil
}

// readPublic reads a public key or certificate file of one line.
func readPublic(path string) (key ssh.PublicKey, comment string, err error) {
	data, _, err := readKeyFile(path)
	if err != nil {
		return nil, "", err
	}
	return parsePublicLine(data)
}

// parsePublicLine reads TYPE BASE64 COMMENT, as ssh-keygen writes it.
func parsePublicLine(data []byte) (key ssh.PublicKey, comment string, err error) {
	line, _, _ := bytes.Cut(bytes.TrimSpace(data), []byte("\n"))
	keyType, rest := cutField(strings.TrimRight(string(line), "\r"))
	blob, comment := cutField(rest)
	if !strings.HasSuffix(keyType, certSuffix) {
		key, err = parsePublic(keyType, blob)
		return key, comment, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(blob)
	if err != nil || blobType(raw) != keyType {
		return nil, "", errors.New("a damaged certificate")
	}
	key, err = ssh.ParsePublicKey(raw)
	return key, comment, err
}
