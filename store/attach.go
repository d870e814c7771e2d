package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"linehaul/fault"
	"linehaul/store/db"
)

// maxAttachment bounds what is kept beside a run under one name, in bytes.
const maxAttachment = 16 << 20

// checkAttachment refuses names that are not lower-case letters, digits and
// hyphens, since names of files are made of them.
func checkAttachment(name string) error {
	ok := name != "" && len(name) <= 32
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%q is not the name of an attachment", name)
	}
	return nil
}

// Attach keeps v as JSON with the record of a run, in place of what was kept under
// that name before: what is too much for the record, which is read with every list
// of runs. It is durable when Attach returns.
func (s *Store) Attach(r Run, name string, v any) error {
	err := errors.Join(r.check(), checkAttachment(name))
	var data []byte
	if err == nil {
		data, err = json.Marshal(v)
	}
	if err == nil && len(data) > maxAttachment {
		err = fmt.Errorf("%d bytes, and %d are allowed", len(data), maxAttachment)
	}
	if err != nil {
		return fault.New(fault.Internal, "keep %q with run %s: %w", name, r.ID, err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	_, err = s.db.Exec(ctx, "INSERT INTO lh_attachment (run, name, content) VALUES ($1, $2, $3) ON CONFLICT (run, name) DO UPDATE SET content = excluded.content",
		r.ID, name, string(data))
	if err != nil {
		return fmt.Errorf("keep %q with run %s: %w", name, r.ID, err)
	}
	return nil
}

// Attachment reads into v what was kept with a run under a name, and reports
// whether there is anything.
func (s *Store) Attachment(r Run, name string, v any) (bool, error) {
	if err := errors.Join(r.check(), checkAttachment(name)); err != nil {
		return false, fault.New(fault.Internal, "read %q of run %s: %w", name, r.ID, err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	var text string
	var length int
	found, err := db.One(ctx, s.db, "SELECT length(content), substr(content, 1, $3) FROM lh_attachment WHERE run = $1 AND name = $2",
		[]any{r.ID, name, maxAttachment}, &length, &text)
	switch {
	case err != nil:
		return false, fmt.Errorf("read %q of run %s: %w", name, r.ID, err)
	case !found:
		return false, nil
	case length > maxAttachment:
		return false, fault.New(fault.LocalDisk, "read %q of run %s: it has more than %d letters", name, r.ID, maxAttachment)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return false, fault.New(fault.LocalDisk, "read %q of run %s: %w", name, r.ID, err)
	}
	return true, nil
}
