//go:build race

package netstack

const raced = true
