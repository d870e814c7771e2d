// Package preflight asks before a run whether the line is there, whether it is
// good, and which layer is to blame if it is not.
package preflight
