package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"linehaul/fault"
)

// maxAttachment bounds what is kept beside a run under one name, in bytes.
const maxAttachment = 16 << 20

// attached stands between a run's id and job and the name of what is kept
// beside its record. The name of no job holds it, so that no record is called so.
const attached = "+"

func (r record) attachment(name string) string {
	return path.Join(r.folder(), r.base()+attached+name+".json")
}

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

// Attach keeps v as JSON beside the record of a run, in place of what was kept
// under that name before: what is too much for the record, which is read with
// every list of runs. It is on the disk when Attach returns, and lies in
// RUN_JOB+NAME.json beside RUN_JOB.json, to be removed together with it.
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
	if err := s.attach(record{r.ID, r.Job}, name, data); err != nil {
		return fault.New(fault.LocalDisk, "keep %q with run %s in %q: %w", name, r.ID, s.dir, err)
	}
	return nil
}

func (s *Store) attach(rec record, name string, data []byte) error {
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := makeFolder(root, rec.folder()); err != nil {
		return err
	}
	to := rec.attachment(name)
	if err := writeSynced(root, to+".tmp", data); err != nil {
		return errors.Join(err, removeAny(root, to+".tmp"))
	}
	if err := root.Rename(to+".tmp", to); err != nil {
		return err
	}
	return syncDir(root, rec.folder())
}

// Attachment reads into v what was kept beside a run under a name, and reports
// whether there is anything.
func (s *Store) Attachment(r Run, name string, v any) (bool, error) {
	if err := errors.Join(r.check(), checkAttachment(name)); err != nil {
		return false, fault.New(fault.Internal, "read %q of run %s: %w", name, r.ID, err)
	}
	data, err := s.attachment(record{r.ID, r.Job}, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return false, fault.New(fault.LocalDisk, "read %q of run %s in %q: %w", name, r.ID, s.dir, err)
	}
	return true, nil
}

func (s *Store) attachment(rec record, name string) ([]byte, error) {
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(rec.attachment(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAttachment+1))
	if err == nil && len(data) > maxAttachment {
		err = fmt.Errorf("it is of more than %d bytes", maxAttachment)
	}
	return data, err
}

// dropHalves removes attachments of a run that were cut off while they were
// written.
func dropHalves(root *os.Root, rec record) error {
	names, err := list(root, rec.folder())
	errs := []error{err}
	for _, name := range names {
		if strings.HasPrefix(name, rec.base()+attached) && strings.HasSuffix(name, ".tmp") {
			errs = append(errs, removeAny(root, path.Join(rec.folder(), name)))
		}
	}
	return errors.Join(errs...)
}
