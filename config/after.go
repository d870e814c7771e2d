package config

import (
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"linehaul/stamp"
)

// After says what happens to a source once its copy is verified and durable.
type After struct {
	Source string // keep, delete or move
	// Move is where a source is moved to, on its own side.
	Move *stamp.Template // nil unless Source is move
}

// The words for Source.
const (
	SourceKeep   = "keep"
	SourceDelete = "delete"
	SourceMove   = "move"
)

// Target returns where a source is moved to. What Move gives is a folder,
// unless it depends on the file; if it is relative, it starts in the folder of
// the source.
func (a After) Target(source string, v stamp.Values, local bool) (string, error) {
	target, err := a.Move.Expand(v)
	if err != nil {
		return "", err
	}
	if !a.Move.PerFile() {
		target += "/" + v.Name
	}
	switch {
	case local && filepath.IsAbs(target):
		return filepath.Clean(target), nil
	case local:
		return filepath.Join(filepath.Dir(source), target), nil
	case path.IsAbs(target):
		return path.Clean(target), nil
	}
	return path.Join(path.Dir(source), target), nil
}

// disposals are the words that `source` may be, beside a mapping.
func disposals() []string { return []string{SourceKeep, SourceDelete} }

// disposal is keep, delete, or a mapping with the one key move.
type disposal struct {
	mark
	word string
	move text // given where the word is move
}

func (v *disposal) take(d *decoder, n ast.Node, at spot, _ field) {
	const wants = "keep, delete or {move: PATH}"
	if m, ok := n.(*ast.MappingNode); ok {
		var e moveEntry
		d.section(reflect.ValueOf(&e), m, at)
		if e.Move.given {
			v.set(d.place(n, at), true)
			v.word, v.move = SourceMove, e.Move
		}
		return
	}
	var t text
	if !t.read(d, n, at, wants) {
		return
	}
	if !slices.Contains(disposals(), t.value) {
		a := d.problem(t.at, "`%s` wants %s, got %s", at.name, wants, quote(t.value))
		switch near := Nearest(t.value, disposals()); {
		case strings.HasPrefix(t.value, SourceMove):
			a.suggest("say where to, without quotes around both words: {move: done}")
		case near != "":
			a.suggest("did you mean `%s`?", near)
		case t.value == "remove":
			a.suggest("did you mean `%s`?", SourceDelete)
		}
		return
	}
	v.set(t.at, true)
	v.word = t.value
}

func (v *disposal) preset(word string, at spot) {
	v.set(at, false)
	v.word = word
}
