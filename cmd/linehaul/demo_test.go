package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestDemo runs both acts, and looks for what each is to show.
func TestDemo(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: func(string) string { return "" }, now: time.Now}
	if code := a.main(t.Context(), []string{"demo"}); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), errs.String())
	}
	for _, want := range []string{
		"An SSH server runs inside this process", "--- log of run", "stock.csv",
		"The second act", "link: office", "ledger.csv", "The gateway saw one login", "That was all of it",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), demoKey) || strings.Contains(errs.String(), demoKey) {
		t.Error("the pre-shared key is printed")
	}
}
