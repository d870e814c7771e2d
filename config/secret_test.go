package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"linehaul/config"
	"linehaul/fault"
)

// planted is the secret that no output may hold.
const planted = "hunter2"

func mustParse(t testing.TB, ref, dir string) config.Secret {
	t.Helper()
	s, err := config.ParseSecret(ref, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretPrintsAsMask(t *testing.T) {
	secret := mustParse(t, "command:echo "+planted, "/")
	type holder struct {
		Secret config.Secret
		Host   config.Host
	}
	type hidden struct{ secret config.Secret }
	values := map[string]any{
		"value": secret, "pointer": &secret, "slice": []config.Secret{secret},
		"map": map[string]config.Secret{"x": secret}, "in a struct": holder{Secret: secret, Host: config.Host{Password: secret}},
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08.3f", "%T"} {
			got := fmt.Sprintf(verb, v)
			if verb != "%T" && !strings.Contains(got, "***") || strings.Contains(got, planted) || strings.Contains(got, "command") {
				t.Errorf("%s as %s: %s", name, verb, got)
			}
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		asYAML, err := yaml.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		asXML, _ := xml.Marshal(v)
		for format, out := range map[string][]byte{"slog": logged.Bytes(), "JSON": asJSON, "YAML": asYAML} {
			if !bytes.Contains(out, []byte("***")) {
				t.Errorf("%s as %s: %s", name, format, out)
			}
		}
		if all := string(asXML) + string(asJSON) + string(asYAML) + logged.String(); strings.Contains(all, planted) {
			t.Errorf("%s: %s", name, all)
		}
	}
	// fmt calls no method of a field that is not exported.
	if got := fmt.Sprintf("%v %+v %#v", hidden{secret}, hidden{secret}, hidden{secret}); strings.Contains(got, planted) {
		t.Error(got)
	}
	if got := fmt.Sprint(errors.Join(fmt.Errorf("login with %v: %w", secret, os.ErrPermission))); strings.Contains(got, planted) {
		t.Error(got)
	}
	if got := secret.String() + secret.GoString() + secret.LogValue().String(); got != "*********" {
		t.Error(got)
	}
}

func TestParseSecret(t *testing.T) {
	for _, ref := range []string{"env:HK1_PASS", "file:x/y", "file:/etc/x", "command:pass show x | head -1", "credential:hk1"} {
		if s, err := config.ParseSecret(ref, "/etc/linehaul"); err != nil || s.IsZero() {
			t.Errorf("%s: %v", ref, err)
		}
	}
	refused := map[string]string{
		planted:                       "not the secret itself",
		planted + ":" + planted:       "not the secret itself",
		"":                            "not the secret itself",
		"ENV:" + planted:              "not the secret itself",
		"env:":                        "name of a variable",
		"env:" + planted + " x":       "name of a variable",
		"file:":                       "path of a file",
		"file:~nobody/" + planted:     "path of a file",
		"command: ":                   "a command",
		"credential:../" + planted:    "name of a credential",
		"credential:":                 "name of a credential",
		"keyring:" + planted:          "planned",
		"dpapi:" + planted:            "planned",
		"https://x/" + planted:        "not the secret itself",
		"env\x00:" + planted + "\xff": "not the secret itself",
	}
	for ref, want := range refused {
		s, err := config.ParseSecret(ref, "/etc/linehaul")
		if !s.IsZero() || !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", ref, err, want)
			continue
		}
		if all := err.Error() + fault.HintOf(err) + fmt.Sprintf("%+v %#v", err, err); strings.Contains(all, planted) {
			t.Errorf("%q: the error repeats it: %s", ref, all)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"plain": planted, "lf": planted + "\n", "crlf": planted + "\r\n", "two": planted + "\nnext\n",
		"bom": "\ufeff" + planted + "\n", "spaces": " " + planted + " \n", "empty": "", "blank": "\n" + planted + "\n",
		"utf16": "\xff\xfeh\x00", "long": strings.Repeat("x", 64<<10+1), "limit": strings.Repeat("x", 64<<10),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("LH_SET", planted)
	t.Setenv("LH_EMPTY", "")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	tests := []struct{ ref, want, problem string }{
		{"env:LH_SET", planted, ""},
		{"env:LH_EMPTY", "", "env:LH_EMPTY is empty"},
		{"env:LH_UNSET", "", `"LH_UNSET" is not set`},
		{"file:plain", planted, ""},
		{"file:lf", planted, ""},
		{"file:crlf", planted, ""},
		{"file:two", planted, ""},
		{"file:bom", planted, ""},
		{"file:spaces", " " + planted + " ", ""},
		{"file:" + filepath.Join(dir, "plain"), planted, ""},
		{"file:limit", strings.Repeat("x", 64<<10), ""},
		{"file:long", "", "longer than 64 KiB"},
		{"file:empty", "", "is empty"},
		{"file:blank", "", "is empty"},
		{"file:utf16", "", "UTF-16"},
		{"file:none", "", "none cannot be read"},
		{"file:.", "", "not a regular file"},
		{"credential:lf", planted, ""},
		{"credential:none", "", "credential:none cannot be read"},
	}
	for _, tt := range tests {
		got, err := mustParse(t, tt.ref, dir).Resolve(t.Context())
		if tt.problem == "" {
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %q, %v", tt.ref, got, err)
			}
			continue
		}
		if !fault.Is(err, fault.Key) || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: error %v, want one that says %q", tt.ref, err, tt.problem)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := mustParse(t, "credential:lf", dir).Resolve(t.Context()); err == nil || !strings.Contains(fault.HintOf(err), "LoadCredential=lf") {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := (config.Secret{}).Resolve(t.Context()); !fault.Is(err, fault.Key) {
		t.Errorf("the zero secret: %v", err)
	}
}

func TestResolveCommand(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	tests := []struct{ name, command, want, problem string }{
		{"output", "echo " + planted + "; echo next", planted, ""},
		{"no input", "cat; echo " + planted, planted, ""},
		{"folder", "basename $PWD", filepath.Base(dir), ""},
		{"pipes and quotes", `printf '%s' "` + planted + `" | cat`, planted, ""},
		{"failure", "echo " + planted + "; echo " + planted + " >&2; exit 3", "", "exit status 3"},
		{"nothing", "true", "", "the secret from a command is empty"},
		{"endless", "yes " + planted, "", "failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustParse(t, "command:"+tt.command, dir).Resolve(t.Context())
			if tt.problem == "" {
				if err != nil || string(got) != tt.want {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if !fault.Is(err, fault.Key) || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("error %v, want one that says %q", err, tt.problem)
			}
			if all := fmt.Sprintf("%v %+v %s", err, err, fault.HintOf(err)); strings.Contains(all, planted) {
				t.Errorf("the error repeats what is secret: %s", all)
			}
		})
	}
}

// TestCommandIsKilled: the end of the context ends the shell and what it
// started, also what it left in the background.
func TestCommandIsKilled(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, fault.New(fault.Timeout, "enough"))
	defer cancel()
	began := time.Now()
	_, err := mustParse(t, "command:(sleep 1; touch alive) & sleep 60; echo x", dir).Resolve(ctx)
	if !fault.Is(err, fault.Timeout) || strings.Contains(err.Error(), "sleep") {
		t.Errorf("error %v, want the cause", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	time.Sleep(time.Until(began.Add(1400 * time.Millisecond)))
	if _, err := os.Stat(filepath.Join(dir, "alive")); err == nil {
		t.Error("a process in the background went on")
	}
}

// TestNoSecretInReports plants a secret where people put one by mistake, in
// files that are wrong in other ways as well, and looks for it in everything
// that can be printed of the error.
func TestNoSecretInReports(t *testing.T) {
	const host = "hosts:\n  hk1:\n    address: a\n    user: b\n"
	const colour = "    colour: blue\n"
	files := map[string]string{
		"plain":                      host + "    password: hunter2\n",
		"before a mistake":           host + "    password: hunter2\n" + colour,
		"quoted":                     host + "    password: \"hunter2\"\n",
		"quoted key":                 host + "    \"password\": 'hunter2'\n",
		"with a colon":               host + "    password: hunter2:x\n",
		"with a colon and a space":   host + "    password: hunter2: x\n",
		"with a comment":             host + "    password: hunter2 # hunter2\n",
		"number":                     host + "    password: 1hunter2\n    port: hunter\n",
		"list":                       host + "    password: [hunter2]\n",
		"block list":                 host + "    password:\n    - hunter2\n",
		"mapping":                    host + "    password: {hunter2: hunter2}\n",
		"block mapping":              host + "    password:\n      hunter2: hunter2\n",
		"literal":                    host + "    password: |\n      hunter2\n      hunter2\n" + colour,
		"next line":                  host + "    password:\n      hunter2\n" + colour,
		"next line, same column":     host + "    password:\n    hunter2\n",
		"quote not closed":           host + "    password: \"hunter2\n",
		"quote over lines":           host + "    password: \"x\n      hunter2\n  hunter2\"\n" + colour,
		"quote over lines, unclosed": host + "    password: 'x\n      hunter2\nhunter2\n",
		"escape":                     host + "    password: \"hunter2\\d\"\n",
		"windows escape":             host + "    password: \"\\Uhunter2\"\n",
		"reserved character":         host + "    password: @hunter2\n",
		"percent":                    host + "    password: %hunter2%\n",
		"alias":                      host + "    password: *hunter2\n",
		"anchor":                     host + "    password: &hunter2 hunter2\n",
		"tag":                        host + "    password: !hunter2 hunter2\n",
		"brace":                      host + "    password: {hunter2}\n",
		"brace and more":             host + "    password: {hunter2}hunter2\n",
		"bracket":                    host + "    password: [hunter2\n",
		"pipe":                       host + "    password: |hunter2\n",
		"tab":                        host + "\tpassword: hunter2\n",
		"tab after":                  host + "    password:\thunter2\n" + colour,
		"control character":          host + "    password: hunter2\x07\n",
		"not UTF-8":                  host + "    password: hunter2\xff\n",
		"long line":                  host + "    password: hunter2" + strings.Repeat("x", 5000) + "\n",
		"flow":                       "hosts: {hk1: {password: hunter2, adress: a}}\n",
		"flow over lines":            "hosts: {hk1: {password: hunter2,\n  adress: a, passphrase:\n hunter2}}\n",
		"flow with a reference":      "hosts: {hk1: {password: env:X, adress: a, passphrase: hunter2}}\n",
		"misspelt":                   host + "    pasword: hunter2\n",
		"much misspelt":              host + "    passwrd1: hunter2\n",
		"short":                      host + "    pass: hunter2\n    pwd: hunter2\n    db_pass: hunter2\n    psk: hunter2\n    api-token: hunter2\n    secret: hunter2\n",
		"capitals":                   host + "    Password: hunter2\n    PASSPHRASE: hunter2\n",
		"no colon":                   host + "    password hunter2\n",
		"no colon, more keys":        host + "    password hunter2\n    port: 22\n",
		"equals":                     host + "    password=hunter2\n",
		"key and secret as a key":    host + "    password hunter2: x\n",
		"wrong level":                "password: hunter2\n" + host,
		"under jobs":                 host + "jobs:\n  password: hunter2\n",
		"repeated":                   host + "    password: env:X\n    password: hunter2\n",
		"unknown reference":          host + "    password: vault:hunter2\n    passphrase: keyring:hunter2\n",
		"bad reference":              host + "    password: env:x hunter2\n    passphrase: credential:/hunter2\n",
		"command":                    host + "    password: command:echo hunter2\n" + colour,
		"in a comment":               host + "    # password: hunter2\n    adress: x # old password hunter2\n",
	}
	for name, yaml := range files {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode("linehaul.yaml", []byte(yaml))
			var problems config.Errors
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("error %v, want problems", err)
			}
			asJSON, jsonErr := json.Marshal(problems)
			if jsonErr != nil {
				t.Fatal(jsonErr)
			}
			all := strings.Join([]string{
				err.Error(), fault.Line(err), fault.HintOf(err), problems.Report(), string(asJSON), fmt.Sprintf("%+v %#v", err, problems),
			}, "\n")
			if strings.Contains(strings.ToLower(all), planted) {
				t.Errorf("the secret is in:\n%s", problems.Report())
			}
		})
	}
}
