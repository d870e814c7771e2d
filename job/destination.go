package job

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"linehaul/fault"
	"linehaul/stamp"
	"linehaul/transfer"
)

// destination says where files land: below a local root folder for a get, at
// full remote paths for a put.
type destination struct {
	root   string // of a get
	dir    string // of a mirror that is put: the folder, without a slash at its end
	name   func(transfer.Item) (string, error)
	folder bool // the job's target names a folder
	tree   bool // files keep their place below one folder
}

// destination says where a job's files land.
func (j *Job) destination(ctx context.Context, r transfer.Remote, v stamp.Values) (destination, error) {
	if j.Sync != nil && j.Put != nil {
		return j.mirror(v)
	}
	if j.Put == nil {
		return j.local(v)
	}
	return j.remote(ctx, r, v)
}

// checkTo refuses, before anything is connected, a target that names one file
// where there may be several. Whether it is a folder that exists is only known
// later, so isFolder is asked where the text does not tell.
func (j *Job) checkTo(isFolder func() (bool, error)) (folder bool, err error) {
	if j.To.PerFile() {
		return false, nil
	}
	if text := j.To.String(); text == "" || endsInSeparator(text, j.Put == nil) {
		return true, nil
	}
	if folder, err = isFolder(); folder || err != nil {
		return folder, err
	}
	sources := append(j.Get, j.Put...)
	if len(sources) > 1 || j.Recursive || transfer.HasWildcard(sources[0]) {
		return false, fault.New(fault.Config, "%q names one file, and there may be several to move", j.To.String()).
			WithHint("end it with / for a folder, or use {name} or {path} in it")
	}
	return false, nil
}

func endsInSeparator(s string, local bool) bool {
	return strings.HasSuffix(s, "/") || local && runtime.GOOS == "windows" && strings.HasSuffix(s, `\`)
}

// local is where the files of a get land. Everything before the last folder
// that does not depend on the file is trusted: it is what the config says.
func (j *Job) local(v stamp.Values) (destination, error) {
	if j.Sync != nil {
		return j.mirror(v)
	}
	folder, err := j.checkTo(func() (bool, error) {
		p, err := j.To.Expand(v)
		if err != nil {
			return false, err
		}
		info, err := os.Stat(p)
		return err == nil && info.IsDir(), nil
	})
	if err != nil {
		return destination{}, err
	}
	if folder {
		root, err := j.To.Expand(v)
		name := func(i transfer.Item) (string, error) { return i.Rel, nil }
		return destination{root: root, name: name, folder: true, tree: transfer.OneTree(j.Get, false)}, err
	}
	dir, rest := j.To.Split(runtime.GOOS == "windows")
	root, err := dir.Expand(v)
	if root == "" {
		root = "."
	}
	return destination{root: root, name: expander(rest, v)}, err
}

// mirror is where the files of a mirror land: in the folder that the target
// names, in the place that they have below the source.
func (j *Job) mirror(v stamp.Values) (destination, error) {
	if j.To.PerFile() {
		return destination{}, fault.New(fault.Config, "%q names each file, and a mirror is a folder", j.To.String())
	}
	below, err := j.mirrored()
	if err != nil {
		return destination{}, err
	}
	to, err := j.To.Expand(v)
	if err != nil {
		return destination{}, err
	}
	d := destination{folder: true, tree: true}
	if j.Put == nil {
		if d.root = to; to == "" {
			d.root = "."
		}
		d.name = func(i transfer.Item) (string, error) { return dotted(below(i)), nil }
		return d, nil
	}
	if d.dir = path.Clean(to); d.dir == "." {
		d.dir = ""
	}
	d.name = func(i transfer.Item) (string, error) { return dotted(path.Join(d.dir, below(i))), nil }
	return d, nil
}

// remote is where the files of a put land.
func (j *Job) remote(ctx context.Context, r transfer.Remote, v stamp.Values) (destination, error) {
	folder, err := j.checkTo(func() (bool, error) {
		p, err := j.To.Expand(v)
		if err != nil {
			return false, err
		}
		e, err := r.Stat(ctx, p)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && e.Mode.IsDir(), err
	})
	if err != nil {
		return destination{}, err
	}
	if folder {
		dir, err := j.To.Expand(v)
		name := func(i transfer.Item) (string, error) { return path.Join(dir, i.Rel), nil }
		return destination{name: name, folder: true, tree: transfer.OneTree(j.Put, true)}, err
	}
	return destination{name: expander(j.To, v)}, nil
}

// expander names each file by a template.
func expander(t *stamp.Template, v stamp.Values) func(transfer.Item) (string, error) {
	return func(i transfer.Item) (string, error) {
		v := v
		v.Name, v.Path, v.MTime = i.Entry.Name, i.Path, i.Entry.MTime
		return t.Expand(v)
	}
}

// full returns the whole path of a target, for the record.
func (d destination) full(target string) string {
	if d.root == "" {
		return target
	}
	return filepath.Join(d.root, target)
}
