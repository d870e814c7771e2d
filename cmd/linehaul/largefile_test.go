//go:build unix

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"linehaul/internal/lab"
)

// What the tests share that move files of many megabytes.

// others are the names beside a file.
func others(file string) []string {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return []string{err.Error()}
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(file) {
			names = append(names, e.Name())
		}
	}
	return names
}

// roomyDir is a folder in memory, if that much fits there twice, so that the
// test is not about the disk.
func roomyDir(t *testing.T, bytes int64) string {
	t.Helper()
	parent := ""
	if lab.Room("/dev/shm") > 2*bytes {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "linehaul-kill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// randomFile writes a file of random bytes and returns its SHA-256.
func randomFile(t *testing.T, path string, size int64) [sha256.Size]byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, sum), rand.Reader, size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

func fileSum(path string) ([sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return [sha256.Size]byte(sum.Sum(nil)), err
}

func sumOf(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	sum, err := fileSum(path)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
