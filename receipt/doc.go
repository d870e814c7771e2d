// Package receipt makes the receipts of runs, and verifies them later without a
// network: that each is as it was made, that none is missing and none was added,
// and that the files are still what the receipts say.
//
// A receipt has two parts, both of JSON lines in UTF-8 that end in a line feed. The
// head is one line, and the same head is always the same bytes:
//
//	{"receipt":1,"seq":7,"prev":"<64 hex>","run":"...", ... ,"files":{"lines":2,"sha256":"<64 hex>"}}
//	     |          |       |                                            |            |
//	     |          |       SHA-256 of the line of receipt 6             |            SHA-256 of those lines
//	     |          from 1, without gaps                                 how many lines the list has
//	     version of the form
//
// The list has a line for each file, and may have millions:
//
//	{"source":"/var/a.gz","target":"/backup/a.gz","bytes":123,"mtime":"2026-11-23T02:30:01Z","sha256":"<64 hex>"}
//
// Every SHA-256 is that of the bytes as they are written, line feeds included, so
// that sha256sum says the same. The hash of a receipt is the one of its head, and
// stands in the head of the next: who changes an old one has to change all that
// follow. The first has 64 zeros. Old receipts are removed from the front only;
// number and hash of the last one removed are kept as the place where the chain
// begins.
//
// The hashes are no signatures: who can write to the store can make a whole new
// chain. What the chain cannot show of itself, that its end was cut off or that all
// was made anew, shows in what lies outside: the record of each run, and the last
// line of its log, name the hash of its receipt (Runs).
//
// The package decides, reads files, and keeps nothing. Where receipts are stored
// is the matter of a Store. What a damaged store gives is bounded by MaxHead and
// MaxLine, and is never a reason to panic.
package receipt
