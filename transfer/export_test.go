package transfer

// What only tests see.
var (
	BadWindowsName = badWindowsName
	PartName       = partName
	ParsePart      = parsePart
)
