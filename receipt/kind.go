package receipt

// A Kind says what a Finding is about. The names are stable: programs read them.
type Kind string

// The kinds, in the order of docs/RECEIPTS.md.
const (
	ReceiptChanged    Kind = "receipt-changed"
	ReceiptUnreadable Kind = "receipt-unreadable"
	ReceiptDropped    Kind = "receipt-dropped"
	ReceiptAdded      Kind = "receipt-added"
	ReceiptOrder      Kind = "receipt-order"
	ChainBroken       Kind = "chain-broken"
	CheckpointChanged Kind = "checkpoint-changed"
	RunDisagrees      Kind = "run-disagrees"
	RunWithout        Kind = "run-without-receipt"
	RunUnknown        Kind = "run-unknown"
	ListChanged       Kind = "list-changed"
	ListShort         Kind = "list-short"
	ListLong          Kind = "list-long"
	FileMissing       Kind = "file-missing"
	FileChanged       Kind = "file-changed"
	FileTime          Kind = "file-time"
	FileUnreadable    Kind = "file-unreadable"

	ReceiptNewer   Kind = "receipt-newer"
	FilesUnchecked Kind = "files-unchecked"
	FileTouched    Kind = "file-touched"
	FileSuperseded Kind = "file-superseded"
	SourceChanged  Kind = "source-changed"
	NotCheckable   Kind = "not-checkable"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{
		ReceiptChanged, ReceiptUnreadable, ReceiptDropped, ReceiptAdded, ReceiptOrder, ChainBroken, CheckpointChanged,
		RunDisagrees, RunWithout, RunUnknown, ListChanged, ListShort, ListLong, FileMissing, FileChanged, FileTime, FileUnreadable,
		ReceiptNewer, FilesUnchecked, FileTouched, FileSuperseded, SourceChanged, NotCheckable,
	}
}

// Problem reports whether a finding of this kind means that something is wrong.
// The others are notes: what could not be looked at, or has its explanation.
func (k Kind) Problem() bool {
	switch k {
	case ReceiptNewer, FilesUnchecked, FileTouched, FileSuperseded, SourceChanged, NotCheckable:
		return false
	default:
		return true
	}
}

// Doc says what the kind means, for docs/RECEIPTS.md.
func (k Kind) Doc() string {
	switch k {
	case ReceiptChanged:
		return "the bytes of a receipt are not those that the next receipt or its run's record vouch for"
	case ReceiptUnreadable:
		return "what is stored as a receipt is none, or is not in the form in which receipts are written"
	case ReceiptDropped:
		return "receipts are missing: in between, at the front beyond what retention has removed, or at the end, where runs name them"
	case ReceiptAdded:
		return "a receipt is there that no run's record names, or a second one of a number"
	case ReceiptOrder:
		return "a receipt is whole and stands in another one's place"
	case ChainBroken:
		return "a receipt does not follow the one before it, and both are as their runs' records have them"
	case CheckpointChanged:
		return "the first receipt is as its run's record has it, and does not follow the one that retention noted as removed last"
	case RunDisagrees:
		return "the record of a run names another hash than the chain gives its receipt, or the receipt is of another run"
	case RunWithout:
		return "a run has ended and has no receipt"
	case RunUnknown:
		return "the run that was asked for has no receipt here"
	case ListChanged:
		return "the list of a receipt's files has as many lines as it should, and not the hash that the receipt says"
	case ListShort:
		return "the list has fewer lines than the receipt says: files were dropped from it"
	case ListLong:
		return "the list has more lines than the receipt says: files were added to it"
	case FileMissing:
		return "a file that the newest receipt of its path has is not there"
	case FileChanged:
		return "it is there with another size, another SHA-256, or as something else than a file"
	case FileTime:
		return "it has the right size and another time, and the receipt has no SHA-256: nothing shows that it is the same"
	case FileUnreadable:
		return "it is there and cannot be read here"
	case ReceiptNewer:
		return "a newer version of linehaul has written the receipt: its place in the chain is checked, its content is not"
	case FilesUnchecked:
		return "the files of a receipt that cannot be believed, or whose list cannot, were not looked at"
	case FileTouched:
		return "the SHA-256 is right, the time is another one"
	case FileSuperseded:
		return "a later receipt says that a run has written over the file, removed it or moved it on"
	case SourceChanged:
		return "of a file that was sent, the source here is another one by now; the copy on the server cannot be read offline"
	case NotCheckable:
		return "files that cannot be looked at here and offline: those on a server, and those of another node"
	}
	return ""
}
