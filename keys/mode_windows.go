package keys

import "io/fs"

// tooOpen is not judged on Windows yet: the mode bits there say nothing about
// the access list.
func tooOpen(fs.FileInfo) bool { return false }
