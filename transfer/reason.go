package transfer

// A Reason says why a file or folder was left alone on purpose. It is one of
// the words below, as logs, dry runs and docs/SELECTION.md have them. What
// could not be looked at or moved is not left alone, but an error.
type Reason string

// The reasons.
const (
	WhyExcluded      Reason = "excluded"
	WhyNotIncluded   Reason = "not included"
	WhyTooSmall      Reason = "too small"
	WhyTooLarge      Reason = "too large"
	WhyTooYoung      Reason = "too young"
	WhyTooOld        Reason = "too old"
	WhyUpToDate      Reason = "up to date"
	WhyLedger        Reason = "ledger"
	WhyNotNewest     Reason = "not among the newest"
	WhyOverTransfer  Reason = "over max_transfer"
	WhyNotSettled    Reason = "not settled"
	WhyNoSentinel    Reason = "no sentinel"
	WhySentinel      Reason = "a sentinel"
	WhyTemporary     Reason = "a temporary name"
	WhyHidden        Reason = "hidden"
	WhyTooDeep       Reason = "too deep"
	WhyFolder        Reason = "a folder"
	WhyLink          Reason = "a symbolic link"
	WhyLinkToFolder  Reason = "a link to a folder"
	WhyLinkToNothing Reason = "a link to nothing"
	WhyLinkToSpecial Reason = "a link to no file"
	WhyLinkOut       Reason = "a link out of the tree"
	WhyLinkLoop      Reason = "a link in a circle"
	WhyPipe          Reason = "a pipe"
	WhySocket        Reason = "a socket"
	WhyDevice        Reason = "a device"
	WhySpecial       Reason = "a special file"
)

// reasons is the fixed list, with what each means to a person.
func reasons() []struct {
	reason Reason
	doc    string
} {
	return []struct {
		reason Reason
		doc    string
	}{
		{WhyExcluded, "a pattern of `exclude` matches it, or a folder above it"},
		{WhyNotIncluded, "there is an `include`, and none of its patterns matches"},
		{WhyTooSmall, "it has less than `min_size`"},
		{WhyTooLarge, "it has more than `max_size`"},
		{WhyTooYoung, "it was changed less than `min_age` before the run"},
		{WhyTooOld, "it was changed more than `max_age` before the run"},
		{WhyUpToDate, "`only_new`: the target has its size and its time"},
		{WhyLedger, "`only_new: ledger`: the job has moved it before, as it is now"},
		{WhyNotNewest, "`newest`: there are enough newer ones"},
		{WhyOverTransfer, "`max_transfer`: with it the run would move more than it may; another run takes it"},
		{WhyNotSettled, "`settle`: it was changed lately, or still changes; the next run looks again"},
		{WhyNoSentinel, "`settle`: the file that says that it is finished is not there; the next run looks again"},
		{WhySentinel, "`settle`: it says of another file that it is finished"},
		{WhyTemporary, "`.part`, `.tmp` or `.filepart` at its end: somebody still writes it"},
		{WhyHidden, "a dot at its beginning, and `hidden: false`"},
		{WhyTooDeep, "it lies deeper than `depth`"},
		{WhyFolder, "a folder, and the job is not `recursive`"},
		{WhyLink, "a symbolic link below a folder that is taken, and `symlinks: skip`"},
		{WhyLinkToFolder, "a symbolic link that a wildcard matched, and it leads to a folder"},
		{WhyLinkToNothing, "a symbolic link, and what it leads to is not there"},
		{WhyLinkToSpecial, "a symbolic link to a pipe, a device or the like"},
		{WhyLinkOut, "a symbolic link that leads out of the source's folder"},
		{WhyLinkLoop, "a symbolic link to a folder that it lies in"},
		{WhyPipe, "a named pipe"},
		{WhySocket, "a socket"},
		{WhyDevice, "a device"},
		{WhySpecial, "no file, no folder and no link"},
	}
}

// Reasons lists every reason there is.
func Reasons() []Reason {
	var all []Reason
	for _, r := range reasons() {
		all = append(all, r.reason)
	}
	return all
}

// UpToDate reports whether a reason says that there is nothing to do: the target
// has it, or had it.
func (r Reason) UpToDate() bool { return r == WhyUpToDate || r == WhyLedger }

// String returns the reason as logs have it.
func (r Reason) String() string { return string(r) }

// Doc says in one sentence what the reason means. It is empty for what is
// none.
func (r Reason) Doc() string {
	for _, known := range reasons() {
		if known.reason == r {
			return known.doc
		}
	}
	return ""
}

// A Skip is a file or folder that was left alone, and why.
type Skip struct {
	// Item has no Target where the reason was found before it had one.
	Item   Item
	Reason Reason
}

// keyReason is the field of log records that holds one, as docs/LOGGING.md has
// it.
const keyReason = "reason"
