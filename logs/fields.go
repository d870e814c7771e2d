package logs

// The names of fields. A record uses these and no other word for the same
// thing; docs/LOGGING.md says what each holds, and in which unit.
const (
	Job         = "job"
	Run         = "run"
	Attempt     = "attempt"
	Host        = "host"
	Address     = "address"
	Protocol    = "protocol"
	Name        = "name"
	Source      = "source"
	Target      = "target"
	Bytes       = "bytes"
	Seconds     = "seconds"
	Rate        = "rate"
	SHA256      = "sha256"
	MTime       = "mtime"
	Files       = "files"
	Failed      = "failed"
	Skipped     = "skipped"
	Reason      = "reason"
	Result      = "result"
	Code        = "code"
	Layer       = "layer"
	Error       = "error"
	Hint        = "hint"
	Next        = "next"
	Fingerprint = "fingerprint"
	Version     = "version"
)
