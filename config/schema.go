package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/invopop/jsonschema"

	"linehaul/bandwidth"
)

// Schema returns the JSON Schema (2020-12) of the file, made from the structs
// that decode it, with descriptions and examples for editors. It knows what
// one key may be; what must hold between keys, only Decode knows.
func Schema() ([]byte, error) {
	s := sectionSchema(reflect.TypeFor[document]())
	s.Version = jsonschema.Version
	s.Title = "linehaul.yaml"
	s.Description = "The configuration of linehaul: hosts, jobs, logs and state."
	needsHosts(s)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// needsHosts says what a host needs where there is no ssh_config for all.
func needsHosts(s *jsonschema.Schema) {
	host := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Required: []string{"address", "user"}}, {Required: []string{"ssh_config"}}}}
	hosts := jsonschema.NewProperties()
	hosts.Set("hosts", &jsonschema.Schema{AdditionalProperties: host})
	s.If = &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{"ssh_config"}}}
	s.Then = &jsonschema.Schema{Properties: hosts}
}

// sectionSchema describes a section by the tags of its fields. Keys that are
// planned are not in it, and so refused.
func sectionSchema(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
	}
	for _, f := range fields(t) {
		if p := f.schema(); p != nil {
			p.Description = f.doc
			s.Properties.Set(f.name, p)
		}
		if f.required {
			s.Required = append(s.Required, f.name)
		}
	}
	if t == reflect.TypeFor[jobEntry]() {
		s.OneOf = []*jsonschema.Schema{{Required: []string{"get"}}, {Required: []string{"put"}}, {Required: []string{"sync"}}}
	}
	return s
}

// schema describes one key, or is nil for one that is not to be described.
func (f field) schema() *jsonschema.Schema {
	l, ok := reflect.New(f.kind).Interface().(leaf)
	if !ok {
		return sectionSchema(f.kind)
	}
	s := l.schema(f)
	if s == nil {
		return nil
	}
	kind := s.Type
	if kind == "" && len(s.AnyOf) > 0 && s.AnyOf[0].Type == typeBoolean {
		kind = typeBoolean
	}
	if f.preset != "" {
		s.Default = asJSON(kind, f.preset)
	}
	if f.example != "" {
		s.Examples = []any{asJSON(s.Type, f.example)}
	}
	return s
}

// typeBoolean is what JSON Schema calls true and false.
const typeBoolean = "boolean"

// asJSON is what a value that a tag spells is in JSON.
func asJSON(kind, value string) any {
	switch kind {
	case "integer":
		return json.Number(value)
	case typeBoolean:
		return value == "true"
	}
	return value
}

// someText is text that is not blank.
func someText() *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Pattern: `\S`} }

func (*text) schema(field) *jsonschema.Schema { return someText() }

func (*texts) schema(field) *jsonschema.Schema {
	one := uint64(1)
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		someText(),
		{Type: "array", Items: someText(), MinItems: &one},
	}}
}

func (*number) schema(f field) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "integer", Minimum: json.Number(strconv.Itoa(f.least)), Maximum: json.Number(strconv.Itoa(f.most)),
	}
}

func (*flag) schema(field) *jsonschema.Schema { return &jsonschema.Schema{Type: typeBoolean} }

func (*newness) schema(f field) *jsonschema.Schema {
	words := &jsonschema.Schema{Type: "string"}
	for _, word := range f.choices {
		words.Enum = append(words.Enum, word)
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: typeBoolean}, words}}
}

func (*duration) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + durationPattern + "$"}
}

func (*period) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + durationPattern + `( *\.\. *` + durationPattern + ")?$"}
}

func (*size) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Pattern: sizePattern},
		{Type: "integer", Minimum: "0"},
	}}
}

func (*share) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Pattern: sharePattern},
		{Type: "integer", Minimum: "0"},
	}}
}

func (*choice) schema(f field) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, word := range f.choices {
		s.Enum = append(s.Enum, word)
	}
	return s
}

func (*disposal) schema(field) *jsonschema.Schema {
	words := &jsonschema.Schema{Type: "string"}
	for _, word := range disposals() {
		words.Enum = append(words.Enum, word)
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{words, sectionSchema(reflect.TypeFor[moveEntry]())}}
}

func (*checkOf[T]) schema(field) *jsonschema.Schema {
	words := &jsonschema.Schema{Type: "string"}
	for _, word := range levels() {
		words.Enum = append(words.Enum, word)
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{words, sectionSchema(reflect.TypeFor[T]())}}
}

func (*dependencies) schema(field) *jsonschema.Schema {
	one := uint64(1)
	forms := []*jsonschema.Schema{someText(), sectionSchema(reflect.TypeFor[dependEntry]())}
	list := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{AnyOf: forms}, MinItems: &one}
	return &jsonschema.Schema{AnyOf: append(slices.Clone(forms), list)}
}

func (*recent) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^(" + today + "|" + durationPattern + ")$"}
}

func (*clock) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: clockPattern}
}

func (*ports) schema(field) *jsonschema.Schema {
	one := uint64(1)
	port := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "integer", Minimum: "1", Maximum: "65535"}, {Type: "string", Pattern: portPattern},
	}}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{port, {Type: "array", Items: port, MinItems: &one}}}
}

func (*percentage) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: percentPattern}
}

func (*timetable) schema(field) *jsonschema.Schema {
	one := uint64(1)
	rate := &jsonschema.Schema{Type: "string", Pattern: "^" + bandwidth.RatePattern + "$"}
	times := jsonschema.NewProperties()
	other, zone := *rate, someText()
	other.Description, other.Default = "The rate at all other times.", "off"
	zone.Description, zone.Examples = "IANA name of the zone whose clock the times go by.", []any{"Asia/Singapore"}
	times.Set(otherKey, &other)
	times.Set(zoneKey, zone)
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		rate,
		{Type: "object", Properties: times, AdditionalProperties: rate},
		{Type: "array", Items: &jsonschema.Schema{Type: "string", Pattern: "(^| )" + bandwidth.RatePattern + "$"}, MinItems: &one},
	}}
}

func (*secretRef) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^(env|file|command|credential):.+`}
}

func (*storeRef) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: storePattern}
}

func (*planned) schema(field) *jsonschema.Schema { return nil }

func (*named[T]) schema(field) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", PropertyNames: &jsonschema.Schema{Pattern: namePattern},
		AdditionalProperties: sectionSchema(reflect.TypeFor[T]()),
	}
}
