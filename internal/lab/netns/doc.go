// Package netns makes hosts for tests: network namespaces without a name, and
// what runs in them. The gateway and the path of internal/lab are built of them.
//
// A host is kept by a process that waits for the end of its input, which comes
// when the test ends or its process dies, however that ends; so do the
// programs that were started with Host.Within. Linux and root only.
package netns
