package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/invopop/jsonschema"
)

// maxValues is how many values are read, those behind aliases counted at each
// use: aliases can make a small file large.
const maxValues = 100_000

// decoder fills document, a tree of Go structs, from the tree of the YAML
// file. What it cannot fill it reports, and goes on.
type decoder struct {
	*reporter
	anchors map[string]ast.Node
	merging map[ast.Node]bool // mappings whose merge keys are being followed
	values  int
}

// A leaf is a type of value that a key can have. It reads itself from a node
// that is no alias, and reports to d what is wrong.
type leaf interface {
	// take reads n, the value of the key f, which stands at the spot.
	take(d *decoder, n ast.Node, at spot, f field)
	// preset gives the value that it has when the file does not name it. The
	// place of an absent key is that of the section that lacks it.
	preset(text string, at spot)
	// schema describes the values that it takes, or is nil if it takes none.
	schema(f field) *jsonschema.Schema
}

// A field is a key as the tags of its struct field describe it:
//
//	yaml:"NAME" or yaml:"NAME,required"
//	doc:"one or two sentences, for the editor and the manual"
//	default:"as it would be written in the file"
//	example:"as it would be written in the file"
//	choices:"the words that it may be"
//	range:"the least and the greatest number"
//	also:"what people call it elsewhere, for suggestions"
//	flag:"what the help of the command line says, with the |VALUE| marked"
type field struct {
	name     string
	required bool
	preset   string
	doc      string
	example  string
	choices  []string
	also     []string
	flag     string
	least    int
	most     int
	index    int
	kind     reflect.Type
}

// fields lists the keys of a section.
func fields(t reflect.Type) []field {
	all := make([]field, t.NumField())
	for i := range all {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		all[i] = field{
			name: name, required: option == "required", index: i, kind: f.Type,
			preset: f.Tag.Get("default"), doc: f.Tag.Get("doc"), example: f.Tag.Get("example"),
			choices: strings.Fields(f.Tag.Get("choices")),
			also:    strings.Fields(f.Tag.Get("also")), flag: strings.ReplaceAll(f.Tag.Get("flag"), "|", "`"),
		}
		if numbers := strings.Fields(f.Tag.Get("range")); len(numbers) == 2 {
			all[i].least, _ = strconv.Atoi(numbers[0])
			all[i].most, _ = strconv.Atoi(numbers[1])
		}
	}
	return all
}

// decodeDocument fills a document from the tree of a file.
func decodeDocument(r *reporter, root ast.Node) *document {
	d := &decoder{reporter: r, anchors: make(map[string]ast.Node), merging: make(map[ast.Node]bool)}
	ast.Walk(anchorFinder{d}, root)
	doc, top := new(document), spot{line: 1, column: 1}
	switch n := d.follow(root, top).(type) {
	case nil:
	case *ast.MappingNode:
		d.section(reflect.ValueOf(doc), n, top)
	default:
		d.problem(d.place(n, top), "the file holds %s, where keys such as `hosts` and `jobs` belong", describe(n))
	}
	return doc
}

// anchorFinder collects anchors, each of which may be given once only.
type anchorFinder struct{ d *decoder }

func (a anchorFinder) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		name := anchor.Name.GetToken().Value
		if a.d.anchors[name] != nil {
			a.d.problem(a.d.place(anchor, spot{}), "this anchor is given twice")
		} else {
			a.d.anchors[name] = anchor
		}
	}
	return a
}

// section fills the struct that v points to from a mapping. The place at is
// that of the key whose value the section is.
func (d *decoder) section(v reflect.Value, m *ast.MappingNode, at spot) {
	v = v.Elem()
	known := fields(v.Type())
	entries := d.entries(m, at)
	given := make(map[string]bool)
	for _, e := range entries {
		given[e.name] = true
	}
	for _, e := range entries {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == e.name })
		if d.full() {
			return
		}
		if i < 0 {
			// What is plainly a misspelling is read as what was meant, so that
			// one mistake does not make others, nor hide them.
			i = d.unknownKey(e, at, known)
			if i < 0 || given[known[i].name] {
				continue
			}
			given[known[i].name] = true
		}
		d.value(v.Field(known[i].index), e.value, e.at, known[i])
	}
	for _, f := range known {
		if given[f.name] {
			continue
		}
		if f.required {
			d.problem(at, "`%s` has no `%s`", at.name, f.name).suggest("add `%s: %s`", f.name, f.example)
		}
		absentValue(v.Field(f.index), f.preset, at.child(f.name))
	}
}

// value fills one key's Go value.
func (d *decoder) value(v reflect.Value, n ast.Node, at spot, f field) {
	if n = d.follow(n, at); n == nil {
		return
	}
	if _, isNull := n.(*ast.NullNode); isNull {
		d.problem(at, "`%s` is empty", at.name).suggest("give it a value, or remove the line")
	} else if into, ok := v.Addr().Interface().(leaf); ok {
		into.take(d, n, at, f)
	} else if m, ok := n.(*ast.MappingNode); ok {
		d.section(v.Addr(), m, at)
	} else {
		d.wrongType(n, at, "a mapping of keys")
	}
}

// absentValue gives a key that the file does not name its default.
func absentValue(v reflect.Value, preset string, at spot) {
	if into, ok := v.Addr().Interface().(leaf); ok {
		into.preset(preset, at)
		return
	}
	absentSection(v, at)
}

// absentSection gives all keys of a section their defaults.
func absentSection(v reflect.Value, at spot) {
	for _, f := range fields(v.Type()) {
		absentValue(v.Field(f.index), f.preset, at.child(f.name))
	}
}

// follow returns the node that an alias or anchor stands for, or nil after it
// reported that there is none.
func (d *decoder) follow(n ast.Node, at spot) ast.Node {
	if d.values++; d.values > maxValues {
		d.problem(at, "the file is too large: its aliases make more than %d values of it", maxValues)
		return nil
	}
	// An alias may stand for an anchor that holds an alias, and so on.
	for range maxNested {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken()
			anchor := d.anchors[name.Value]
			if anchor == nil || !before(anchor.GetToken(), name) {
				d.problem(d.place(v, at), "a value that begins with * is an alias, and there is no such anchor above it").
					suggest("put the value in quotes")
				return nil
			}
			n = anchor
		case nil:
			return nil
		default:
			return n
		}
	}
	d.problem(at, "the aliases lead in a circle")
	return nil
}

func before(a, b *token.Token) bool {
	if a.Position.Line != b.Position.Line {
		return a.Position.Line < b.Position.Line
	}
	return a.Position.Column < b.Position.Column
}

// An entry is one key of a mapping with its value.
type entry struct {
	name  string
	at    spot // of the key
	value ast.Node
}

// entries lists the keys of a mapping in the order of the file, then those
// that merge keys (<<) add. Keys that repeat are reported.
func (d *decoder) entries(m *ast.MappingNode, at spot) []entry {
	var own, merged []entry
	lines := make(map[string]int)
	for _, kv := range m.Values {
		name, ok := keyName(kv.Key)
		e := entry{name: name, value: kv.Value, at: d.place(kv.Key, at.child(name))}
		switch {
		case !ok:
			d.problem(d.place(kv.Key, at), "a key wants to be a plain word")
			continue
		case lines[name] != 0:
			d.problem(e.at, "repeated key %s: it stands on line %d already", quote(name), lines[name])
			continue
		case kv.Key.IsMergeKey():
			merged = append(merged, d.merge(e.value, d.place(kv.Key, at))...)
		default:
			own = append(own, e)
		}
		lines[name] = e.at.line
	}
	for _, e := range merged {
		if lines[e.name] == 0 {
			lines[e.name] = e.at.line
			own = append(own, e)
		}
	}
	return own
}

// merge lists the keys that a merge key adds: those of the mapping that it
// names, or of a list of them, of which the earlier win.
func (d *decoder) merge(n ast.Node, at spot) []entry {
	list, ok := d.follow(n, at).(*ast.SequenceNode)
	if !ok {
		return d.mergeOne(n, at)
	}
	var all []entry
	for _, item := range list.Values {
		all = append(all, d.mergeOne(item, at)...)
	}
	return all
}

func (d *decoder) mergeOne(n ast.Node, at spot) []entry {
	n = d.follow(n, at)
	if n == nil {
		return nil
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.problem(at, "<< wants an alias of a mapping, such as *defaults, got %s", describe(n))
		return nil
	}
	if d.merging[m] {
		d.problem(at, "the merge keys lead in a circle")
		return nil
	}
	d.merging[m] = true
	defer delete(d.merging, m)
	all := d.entries(m, at)
	d.values += len(all)
	return all
}

// keyName returns the text of a key, and false for keys that are no plain text.
func keyName(k ast.MapKeyNode) (string, bool) {
	switch k.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.MergeKeyNode:
		return k.GetToken().Value, k.GetToken().Value != ""
	}
	return "", false
}

// unknownKey reports a key, and returns the index of the known one that is
// near, or -1.
func (d *decoder) unknownKey(e entry, at spot, known []field) int {
	where := "at the top of the file"
	if at.key != "" {
		where = "in " + at.key
	}
	var names []string
	near := ""
	for _, f := range known {
		if f.kind != reflect.TypeFor[planned]() {
			names = append(names, f.name)
		}
		if slices.Contains(f.also, plainSpelling(e.name)) {
			near = f.name
		}
	}
	if near == "" {
		near = Nearest(e.name, names)
	}
	a := d.problem(e.at, "unknown key %s %s", quote(e.name), where)
	if near == "" {
		a.suggest("known here: %s", strings.Join(names, ", "))
		return -1
	}
	a.suggest("did you mean `%s`?", near)
	return slices.IndexFunc(known, func(f field) bool { return f.name == near })
}

// wrongType reports that n is not what a key wants.
func (d *decoder) wrongType(n ast.Node, at spot, wants string) {
	a := d.problem(d.place(n, at), "`%s` wants %s, got %s", at.name, wants, describe(n))
	switch v := n.(type) {
	case *ast.SequenceNode:
		if at.name == "after" {
			a.suggest("`after` is what becomes of the source; jobs to wait for stand in `depends_on`")
		}
	case *ast.MappingNode:
		if v.IsFlowStyle && len(v.Values) == 1 && v.Values[0].Value.Type() == ast.NullType {
			a.suggest("text that begins with { wants quotes: '{%s}'", shown(v.Values[0].Key.GetToken().Value))
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if wants == wantsText {
			a.suggest(`in quotes it is text: "%s"`, shown(v.GetToken().Value))
		}
	case *ast.StringNode:
		if _, err := strconv.Atoi(v.Value); err == nil && wants == wantsNumber {
			a.suggest("write it without quotes: %s", v.Value)
		}
	}
}

// describe names the type of a node.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	}
	return "text"
}

// place is where a node begins. The keys are those of at.
func (d *decoder) place(n ast.Node, at spot) spot {
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken()
	}
	where := spot{line: 1, column: 1}
	if t != nil {
		where = d.src.place(t)
	}
	where.key, where.name = at.key, at.name
	return where
}

// child is the place of a key below another that does not stand in the file.
func (s spot) child(name string) spot {
	s.name = shown(name)
	if s.key != "" {
		s.key += "."
	}
	s.key += s.name
	return s
}
