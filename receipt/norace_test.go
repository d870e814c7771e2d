//go:build !race

package receipt_test

const raced = false
