package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
)

func TestNodes(t *testing.T) {
	f := decode(t, "testdata/good/nodes.yaml")
	equal(t, "name", f.Node.Name, "hk-mover-1")
	same(t, "labels", f.Node.Labels, []string{"dmz", "Asia"})
	equal(t, "limits", f.Limits, config.RunLimits{Runs: 20, PerHost: 4, PerLink: 8})
	equal(t, "history", f.History, config.History{MaxAge: 90 * 24 * time.Hour, Keep: 1000})
	equal(t, "store", f.Store.String(), "postgres://linehaul@db.example.net:5433/linehaul?sslmode=verify-full")
	url, err := f.Store.URL(t.Context())
	if err != nil || url != f.Store.String() || f.Store.IsZero() {
		t.Errorf("got %q, %v", url, err)
	}
	for name, want := range map[string]bool{"anywhere": true, "here": true, "there": false, "by-label": true, "in-asia": true} {
		if got := f.Node.Takes(f.Jobs[name].RunOn); got != want {
			t.Errorf("%s runs here: got %v, want %v", name, got, want)
		}
	}

	f = decode(t, "testdata/good/only-state.yaml")
	if form := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`); !form.MatchString(f.Node.Name) || len(f.Node.Labels) > 0 {
		t.Errorf("node %+v", f.Node)
	}
	equal(t, "no limits", f.Limits, config.RunLimits{})
	equal(t, "history", f.History, config.History{MaxAge: 400 * 24 * time.Hour})
	if url, err := f.Store.URL(t.Context()); !f.Store.IsZero() || url != "" || err != nil || f.Store.String() != "" {
		t.Errorf("store %q %q, %v", f.Store, url, err)
	}
}

// TestStoreSecret: a URL with a password comes from where secrets are, and prints
// as a mask.
func TestStoreSecret(t *testing.T) {
	t.Setenv("HOME", "/home/jephe")
	dir := t.TempDir()
	whole := "postgres://linehaul:" + planted + "@db.example.net/linehaul"
	if err := os.WriteFile(filepath.Join(dir, "store.url"), []byte(whole+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.Decode(filepath.Join(dir, "linehaul.yaml"), []byte("store: file:store.url\n"))
	if err != nil {
		t.Fatal(err)
	}
	if url, err := f.Store.URL(t.Context()); url != whole || err != nil {
		t.Errorf("got %q, %v", url, err)
	}
	asJSON, err := json.Marshal(f.Store)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "store", f.Store)
	all := fmt.Sprintf("%v %+v %#v %s %q", f.Store, f.Store, f.Store, f.Store, f.Store) + string(asJSON) + logged.String()
	if strings.Contains(all, planted) || strings.Contains(all, "store.url") || strings.Count(all, "***") < 6 {
		t.Error(all)
	}
	t.Setenv("LINEHAUL_TEST_STORE", "")
	for name, value := range map[string]string{
		"another database": "mysql://u:" + planted + "@db/x", "no URL": planted, "an odd one": "postgres://u:%" + planted + "@db/x", "nothing": "",
	} {
		t.Setenv("LINEHAUL_TEST_STORE", value)
		f, err := config.Decode("linehaul.yaml", []byte("store: env:LINEHAUL_TEST_STORE\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Store.URL(context.Background()); err == nil || strings.Contains(err.Error(), planted) ||
			!fault.Is(err, fault.Config) && !fault.Is(err, fault.Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStorePasswords: one that stands in the file is refused, and shown nowhere.
func TestStorePasswords(t *testing.T) {
	for _, text := range []string{
		"store: postgres://u:" + planted + "@db/x\n",
		"store: 'postgres://u:" + planted + "@db/x'\n",
		"store: postgresql://u:a@" + planted + "@db/x\n",
		"store: postgres://u:a/" + planted + "@db/x\n",
		"store: postgres://db/x?user=u&password=" + planted + "\n",
		"store: postgres://db/x?sslpassword=" + planted + "\n",
		"store: postgres://u:%" + planted + "@db/x\n",
		"store: host=db user=u password=" + planted + "\n",
		"store: mysql://u:" + planted + "@db/x\n",
		"store: |\n  postgres://u:" + planted + "@db/x\n",
		"store: [postgres://u:" + planted + "@db/x]\n",
		"stroe: postgres://u:" + planted + "@db/x\n",
		"database: postgres://u:" + planted + "@db/x\n",
		"state: postgres://u:" + planted + "@db/x\nx: y\n",
		"# was postgres://u:" + planted + "@db/x\nstore: postgres://u:" + planted + "@db/x\nx: [\n",
	} {
		_, err := config.Decode("linehaul.yaml", []byte(text))
		var problems config.Errors
		if !errors.As(err, &problems) {
			t.Errorf("%s is accepted", text)
			continue
		}
		if all := problems.Report() + err.Error(); strings.Contains(all, planted) {
			t.Errorf("%s\n%s", text, all)
		}
	}
}
