// Package keylog writes the keys of a tunnel as the tables that Wireshark
// decrypts IKEv2 and ESP by, under the names that they have in a profile of it:
//
//	DIR/ikev2_decryption_table   one line an IKE SA: SPIs, keys, algorithms
//	DIR/esp_sa                   one line an ESP SA, of one direction
//
// Whoever has these files and a recording of the line reads all that went
// through the tunnel. They belong to those who look for a fault, with a network
// that they may look into, and to nobody after that.
//
// The names of algorithms are those of Wireshark 4.0. What it has no name for
// stands there as a remark.
package keylog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"linehaul/fault"
	"linehaul/keys/guard"
	"linehaul/tunnel/suite"
)

// The tables, as Wireshark calls them.
const (
	ikeTable = "ikev2_decryption_table"
	espTable = "esp_sa"
)

// A Log is a folder with the tables. It is safe for concurrent use.
type Log struct {
	mu       sync.Mutex
	ike, esp *os.File
	err      error
}

// Open opens the tables in a folder, which is made if it is absent. What is in
// them stays; nobody else may read them.
func Open(dir string) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.LocalDisk, "make the folder %q for keys: %w", dir, err)
	}
	l := &Log{}
	var err error
	if l.ike, err = open(filepath.Join(dir, ikeTable)); err != nil {
		return nil, err
	}
	if l.esp, err = open(filepath.Join(dir, espTable)); err != nil {
		l.ike.Close()
		return nil, err
	}
	return l, nil
}

// open opens a table to be added to, if nobody else may use it.
func open(path string) (*os.File, error) {
	f, err := guard.Create(path)
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			if err = guard.Check(f); err != nil {
				f.Close()
			}
		}
	}
	var others *guard.OpenError
	switch {
	case errors.As(err, &others):
		return nil, fault.New(fault.LocalDisk, "write keys to %q: %w", path, err).WithHint("%s, or name another folder", others.Fix(path))
	case err != nil:
		return nil, fault.New(fault.LocalDisk, "write keys to %q: %w", path, err)
	}
	return f, nil
}

// IKE are the keys of an IKE SA (RFC 7296 section 2.14), by who sends.
type IKE struct {
	InitiatorSPI, ResponderSPI [8]byte
	Suite                      suite.Suite
	Initiator, Responder       Keys
}

// Keys protect one direction. Integrity is empty where the encryption does
// both.
type Keys struct{ Encryption, Integrity []byte }

// ESP are the keys of one ESP SA.
type ESP struct {
	SPI   uint32
	IPv6  bool // outside
	Suite suite.Suite
	Keys  Keys
}

// AddIKE adds an IKE SA.
func (l *Log) AddIKE(a IKE) {
	cipher, check := ikeCipher(a.Suite.Encryption), ikeCheck(a.Suite)
	spis := fmt.Sprintf("%x,%x", a.InitiatorSPI, a.ResponderSPI)
	if cipher == "" || check == "" {
		l.remark(l.ike, spis, a.Suite)
		return
	}
	l.add(l.ike, fmt.Sprintf("%s,%x,%x,%q,%x,%x,%q\n", spis, a.Initiator.Encryption, a.Responder.Encryption, cipher,
		a.Initiator.Integrity, a.Responder.Integrity, check))
}

// AddESP adds an ESP SA, between any addresses: a NAT may change them.
func (l *Log) AddESP(a ESP) {
	cipher, check := espCipher(a.Suite.Encryption), espCheck(a.Suite)
	spi := fmt.Sprintf("0x%08x", a.SPI)
	if cipher == "" || check == "" {
		l.remark(l.esp, spi, a.Suite)
		return
	}
	version := "IPv4"
	if a.IPv6 {
		version = "IPv6"
	}
	l.add(l.esp, fmt.Sprintf("%q,\"*\",\"*\",%q,%q,%q,%q,%q\n", version, spi, cipher, number(a.Keys.Encryption), check, number(a.Keys.Integrity)))
}

// number writes a key as tables of ESP want it.
func number(key []byte) string {
	if len(key) == 0 {
		return ""
	}
	return "0x" + hex.EncodeToString(key)
}

// remark says what is not in a table, without its keys, which nobody could use.
func (l *Log) remark(f *os.File, spi string, s suite.Suite) {
	l.add(f, fmt.Sprintf("# %s: Wireshark has no name for %s\n", spi, strings.TrimSpace(s.String())))
}

func (l *Log) add(f *os.File, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if _, err := f.WriteString(line); err != nil {
		l.err = fault.New(fault.LocalDisk, "write keys: %w", err)
	}
}

// Close closes the tables, and returns why they are not complete, if they are
// not.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := errors.Join(l.ike.Close(), l.esp.Close())
	if l.err != nil {
		return l.err
	}
	return fault.Wrap(fault.LocalDisk, err)
}
