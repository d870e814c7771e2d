package transfer

import "os"

// What only tests see.
var (
	BadWindowsName = badWindowsName
	PartName       = partName
	ParsePart      = parsePart
)

// LinkNew is how a file is moved where the system has no better way.
func LinkNew(from, to string) error { return linkNew(from, to) }

// SurplusHolding is a Surplus that sorts on disk what is more than n entries.
func SurplusHolding(s Surplus, n int) Surplus {
	s.held = n
	return s
}

// Listed looks names up in a listing of which n entries are held in memory. It
// tells of each whether it is there, and whether that is known.
func Listed(temp string, n int, listing, names []string) (there, known []bool, err error) {
	spool := newSpool(temp, n)
	defer spool.close() //nolint:errcheck // the test looks at the folder
	s := &sorter{spool: spool}
	for _, name := range listing {
		if err := s.add(Entry{Name: name, Size: int64(len(name))}); err != nil {
			return nil, nil, err
		}
	}
	o, err := s.done()
	if err != nil {
		return nil, nil, err
	}
	defer o.close()
	for _, name := range names {
		e, has, sure, err := o.find(name)
		if err != nil {
			return nil, nil, err
		}
		if has && (e.Name != name || e.Size != int64(len(name))) {
			has = false
		}
		there, known = append(there, has), append(known, sure)
	}
	return there, known, nil
}

// Holding is a Find that sorts on disk what is more than n entries.
func Holding(f Find, n int) Find {
	f.held = n
	return f
}

// OnDisk is a Get whose disk makes files, and the names in folders, durable by
// these. They are not asked of folders that Get makes.
func OnDisk(g Get, syncFile, syncNames func(*os.File) error) Get {
	g.disk = disk{syncFile, syncNames}
	return g
}
