package transfer

// What only tests see.
var (
	BadWindowsName = badWindowsName
	PartName       = partName
	ParsePart      = parsePart
)

// LinkNew is how a file is moved where the system has no better way.
func LinkNew(from, to string) error { return linkNew(from, to) }

// Holding is a Find that sorts on disk what is more than n entries.
func Holding(f Find, n int) Find {
	f.held = n
	return f
}
