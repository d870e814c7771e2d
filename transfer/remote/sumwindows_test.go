package remote_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// TestSumOnWindows: a server that says it is Windows is asked by PowerShell, and where
// that is kept away, by certutil. What they print is as Microsoft describes it.
func TestSumOnWindows(t *testing.T) {
	const (
		sum   = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
		empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		path  = "/D:/an archive/" + empty + ".zip"
		name  = `D:\an archive\` + empty + `.zip`
	)
	refused := []string{"", "'powershell' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"}
	head, foot := "certutil\r\nSHA256 hash of "+name+":\r\n", "\r\nCertUtil: -hashfile command completed successfully.\r\n"
	pairs := ""
	for pair := range slices.Chunk([]byte(sum), 2) {
		pairs += string(pair) + " "
	}
	for what, tt := range map[string]struct {
		shell, utility string // what they print
		path           string
		size           int64
		sum, by        string
		err            error
		commands       string // that two files take
	}{
		"PowerShell": {shell: "5\r\npowershell\r\n" + strings.ToUpper(sum) + "\r\n", size: 5, sum: sum, by: "powershell", commands: "p p"},
		"certutil":   {shell: refused[1], utility: "5\r\n" + head + sum + foot, size: 5, sum: sum, by: "certutil", commands: "p c c"},
		"certutil of Windows 8": {
			shell: refused[0], utility: "5\r\n" + head + strings.TrimSpace(pairs) + foot, size: 5, sum: sum, by: "certutil", commands: "p c c",
		},
		"an empty file":                    {utility: "0\r\n" + head + foot, sum: empty, by: "certutil", commands: "p c c"},
		"another file":                     {shell: "6\r\npowershell\r\n" + sum + "\r\n", size: 5, err: remote.ErrNoSumOfFile, commands: "p p"},
		"neither":                          {shell: refused[1], utility: "5\r\n" + head + "access is denied\r\n", size: 5, err: remote.ErrNoSum, commands: "p c p c"},
		"nothing there":                    {shell: refused[0], utility: "ECHO is on.\r\n" + head, size: 5, err: remote.ErrNoSum, commands: "p c p c"},
		"a name that a shell would change": {path: "/D:/100%.zip", size: 5, err: remote.ErrNoSumOfFile},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var commands []string
			_, h := startServer(t, remotetest.Options{Version: "SSH-2.0-OpenSSH_for_Windows_9.5", Run: func(command string) (string, int) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case !strings.Contains(command, name):
					t.Errorf("asked for something else: %s", command)
				case strings.HasPrefix(command, "powershell "):
					commands = append(commands, "p")
					return tt.shell, 1
				case strings.HasPrefix(command, "@for %I in ("):
					commands = append(commands, "c")
					return tt.utility, 0
				}
				return "", 1
			}})
			c := connect(t, h)
			if tt.path == "" {
				tt.path = path
			}
			for range 2 {
				sum, by, err := c.Sum(t.Context(), tt.path, tt.size)
				if sum != tt.sum || by != tt.by || !errors.Is(err, tt.err) {
					t.Errorf("%q by %q, %v", sum, by, err)
				}
				if ofFile := errors.Is(err, remote.ErrNoSumOfFile); err != nil && ofFile != (tt.err == remote.ErrNoSumOfFile) {
					t.Errorf("it says that of one file: %t: %v", ofFile, err)
				}
			}
			if got := strings.Join(commands, " "); got != tt.commands {
				t.Errorf("commands %s, and not %s", got, tt.commands)
			}
		})
	}
}
