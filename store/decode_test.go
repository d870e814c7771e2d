package store

import (
	"bytes"
	"testing"
)

// FuzzDecode: what is read as a record is written so that it reads the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"20261123T023001Z-123x7k2q","job":"nightly-db","started":"2026-11-23T02:30:01.5+08:00","state":"ok","code":0,` +
		`"files":[{"source":"/a","target":"/b","bytes":1,"mtime":"2026-11-23T02:30:01Z","seconds":0.5}],"attempts":[{"number":1}]}`))
	f.Add([]byte(`{"id":"20261123T023001Z-123x7k2q","job":"a","state":"running","later":[1,{"x":null}]}`))
	f.Add([]byte(`{"id":"20261123T023001Z-123x7k2q","job":"../a","state":"running"}`))
	f.Add([]byte(`{"id":"20261123T023001Z-123x7k2q","job":"a","state":"ok","bytes":1e99}`))
	f.Add([]byte(`{"id":"20261123T023001Z-123x7k2q","job":"a","state":"\ud800","error":"<&\u2028>"`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		if err := r.check(); err != nil {
			t.Fatalf("accepted %+v: %v", r, err)
		}
		first, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(first)
		if err != nil {
			t.Fatalf("%v in %s", err, first)
		}
		second, err := encode(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s\nbecame\n%s\n%v", first, second, err)
		}
	})
}
