//go:build race

package main

// raced says that the race detector watches, and makes all of it slow.
const raced = true
