package config_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"linehaul/config"
)

func compileSchema(t testing.TB) (compiled *jsonschema.Schema, tree any) {
	t.Helper()
	data, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	tree, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("linehaul.json", tree); err != nil {
		t.Fatal(err)
	}
	if compiled, err = c.Compile("linehaul.json"); err != nil {
		t.Fatal(err)
	}
	return compiled, tree
}

// asJSON turns YAML into what a JSON Schema is about.
func asJSON(t testing.TB, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaTakesGoodFiles(t *testing.T) {
	schema, _ := compileSchema(t)
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d good files (%v)", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asJSON(t, data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := schema.Validate(asJSON(t, config.Sample())); err != nil {
		t.Errorf("the sample: %v", err)
	}
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	schema, _ := compileSchema(t)
	for _, name := range []string{
		"unknown-keys", "wrong-types", "missing", "planned", "retention", "depends", "overlap", "nodes", "bandwidth", "secrets", "secrets-misspelt", "names", "values-missing",
		"not-a-mapping", "only-text", "brace-unquoted", "crlf", "bom", "long-snippet",
	} {
		data, err := os.ReadFile("testdata/bad/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asJSON(t, data)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestSchemaNeeds: a host needs address and user unless an ssh_config may give
// them, as for the decoder.
func TestSchemaNeeds(t *testing.T) {
	schema, _ := compileSchema(t)
	for text, want := range map[string]bool{
		`{"hosts": {"hk1": {"address": "a", "user": "u"}}}`:               true,
		`{"hosts": {"hk1": {"address": "a"}}}`:                            false,
		`{"hosts": {"hk1": {"user": "u"}}}`:                               false,
		`{"hosts": {"hk1": {"ssh_config": "c"}}}`:                         true,
		`{"ssh_config": "c", "hosts": {"hk1": {}, "hk2": {"user": "u"}}}`: true,
	} {
		_, err := config.Decode(filepath.Join(t.TempDir(), "linehaul.yaml"), []byte(text))
		if got := schema.Validate(asJSON(t, []byte(text))) == nil; got != want || (err == nil) != want {
			t.Errorf("%s: the schema takes it: %v, the decoder: %v, want %v", text, got, err, want)
		}
	}
}

// TestSchemaDescribesKeys: each key has a description and each section is
// closed; what can be completed has an example, a default or a choice.
func TestSchemaDescribesKeys(t *testing.T) {
	_, tree := compileSchema(t)
	seen := 0
	var walk func(path string, node map[string]any)
	walk = func(path string, node map[string]any) {
		properties, _ := node["properties"].(map[string]any)
		if len(properties) > 0 && node["additionalProperties"] != false {
			t.Errorf("%s takes any key", path)
		}
		for name, p := range properties {
			seen++
			p := p.(map[string]any)
			if text, _ := p["description"].(string); len(text) < 15 {
				t.Errorf("%s.%s: description %q", path, name, text)
			}
			if p["type"] != "object" && p["default"] == nil && p["examples"] == nil {
				t.Errorf("%s.%s has neither default nor example", path, name)
			}
			walk(path+"."+name, p)
		}
		if each, ok := node["additionalProperties"].(map[string]any); ok {
			walk(path+".*", each)
		}
	}
	walk("", tree.(map[string]any))
	if seen < 40 {
		t.Errorf("saw %d keys", seen)
	}
}

// TestExamplesAreValid: what the schema shows, the decoder takes.
func TestExamplesAreValid(t *testing.T) {
	unixOnly(t)
	t.Setenv("HOME", "/home/jephe")
	schema, tree := compileSchema(t)
	values := func(path ...string) map[string]any {
		node := tree.(map[string]any)
		for _, p := range path {
			node = node[p].(map[string]any)
		}
		all := make(map[string]any)
		for name, p := range node["properties"].(map[string]any) {
			p := p.(map[string]any)
			if examples, ok := p["examples"].([]any); ok {
				all[name] = examples[0]
			} else if p["default"] != nil {
				all[name] = p["default"]
			}
		}
		return all
	}
	host, job := values("properties", "hosts", "additionalProperties"), values("properties", "jobs", "additionalProperties")
	job["retry"] = values("properties", "jobs", "additionalProperties", "properties", "retry")
	mirror := maps.Clone(job)
	for _, name := range []string{"get", "put", "keep"} {
		delete(mirror, name)
	}
	mirror["to"] = "/srv/mirror"
	for _, name := range []string{"put", "sync", "compare", "delete", "max_delete", "delete_excluded"} {
		delete(job, name)
	}
	bastion := map[string]any{"address": "bastion.example.net", "user": "jump", "link": "hongkong"}
	ipsec := []string{"properties", "links", "additionalProperties", "properties", "ipsec"}
	link := values(ipsec...)
	for _, party := range []string{"local", "remote"} {
		link[party] = values(append(ipsec, "properties", party)...)
		delete(link[party].(map[string]any), "psk") // which goes with no certificate
	}
	link["local"].(map[string]any)["eap"] = values(append(ipsec, "properties", "local", "properties", "eap")...)
	file := values()
	file["logs"] = values("properties", "logs")
	file["hosts"] = map[string]any{"hk1": host, "bastion": bastion}
	file["links"] = map[string]any{"hongkong": map[string]any{"ipsec": link}}
	rates := map[string]any{"get": "hk1:rates/*", "to": "rates/"} // which the others depend on
	file["jobs"] = map[string]any{"nightly": job, "mirror": mirror, "fetch-rates": rates}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := config.Decode("linehaul.yaml", data)
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	checkInvariants(t, f)
	if err := schema.Validate(asJSON(t, data)); err != nil {
		t.Error(err)
	}
	if !slices.Contains(f.JobOrder, "nightly") || f.Hosts["hk1"].Jump != "bastion" {
		t.Errorf("%+v", f)
	}
}
