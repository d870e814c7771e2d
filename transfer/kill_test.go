package transfer_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"linehaul/transfer"
)

// killVar names the folder into which the test binary, started again, fetches
// a file whose content never ends to come.
const killVar = "LINEHAUL_TEST_KILL"

func TestMain(m *testing.M) {
	if root := os.Getenv(killVar); root != "" {
		hangInTheMiddle(root)
	}
	os.Exit(m.Run())
}

func hangInTheMiddle(root string) {
	r := newRemote(map[string]string{"/d/gone": big()})
	r.before = func(i int, _ map[string]*node) error {
		if i == 8 {
			os.Stdout.WriteString("in the middle\n")
			<-time.After(time.Hour) // select {} would be taken for a deadlock, and end it
		}
		return nil
	}
	list, _ := transfer.Collect(transfer.Find{Recursive: true}.Remote(context.Background(), r, "/d"))
	list, _ = transfer.Place(list, false, byRel)
	g := transfer.Get{Remote: r, Root: root, Run: run2, AtOnce: 1}
	g.Files(context.Background(), list)
	os.Exit(5)
}

// TestKilled kills a process that is in the middle of a file. The next run
// finds the old target whole, and leaves no temporary file, although the file
// that it belonged to is no longer on the server.
func TestKilled(t *testing.T) {
	root := t.TempDir()
	mkdir(t, root+"/d")
	write(t, root+"/d/gone", "old")
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	victim.Env = append(os.Environ(), killVar+"="+root)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "in the middle\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	part := filepath.Join(root, "d", transfer.PartName("gone", run2))

	fetchOther := func() {
		t.Helper()
		r := newRemote(map[string]string{"/d/other": "new"})
		if _, err := get(t, t.Context(), r, root, "/d"); err != nil {
			t.Fatal(err)
		}
	}
	fetchOther()
	if got, err := os.ReadFile(part); err != nil || len(got) == 0 || string(got) == big() {
		t.Fatalf("beside a live process: %d bytes, %v: want a part of the file", len(got), err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	want(t, filepath.Join(root, "d"), map[string]string{"gone": "old", "other": "new", filepath.Base(part): contents(t, root)["d/"+filepath.Base(part)]})
	fetchOther()
	want(t, root, map[string]string{"d/": "", "d/gone": "old", "d/other": "new"})
}
