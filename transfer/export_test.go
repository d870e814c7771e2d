package transfer

// What only tests see.
var (
	BadWindowsName = badWindowsName
	PartName       = partName
	ParsePart      = parsePart
)

// Holding is a Find that sorts on disk what is more than n entries.
func Holding(f Find, n int) Find {
	f.held = n
	return f
}
