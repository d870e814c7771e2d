//go:build race

package tunnel

const raced = true
