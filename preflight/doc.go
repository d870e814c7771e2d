// Package preflight asks before a run whether the line is there, whether it is
// good, and which layer is to blame if it is not.
//
// A check asks one thing and answers with a Finding: a verdict, what was
// measured, and a text of the table in texts.go. Checks stand in a Tree, which
// runs them side by side as far as they do not depend on each other. Judge makes
// one line of what they found.
//
// How packets get to the host is a Way: the system's, or a tunnel. What is
// behind the port is asked through functions, so that this package knows of no
// SSH, no tunnel and no job. It never prompts and needs no rights: what this
// account may not ask is answered with Unknown, and the right that is missing.
package preflight
