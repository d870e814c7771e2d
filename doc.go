// Package linehaul is the root of the module. The program is in cmd/linehaul;
// the root holds only the tests that watch over the whole tree.
package linehaul
