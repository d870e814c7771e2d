package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// certutil is Windows' program for certificates, which sums up files, too.
const certutil = "certutil"

// sumOnWindows is Sum for OpenSSH on Windows: by PowerShell, and where that has no
// answer, as it is kept from some users, by certutil, from then on alone.
func (c *Conn) sumOnWindows(ctx context.Context, path string, size int64) (sum, program string, err error) {
	name, err := windowsName(path)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrNoSumOfFile, err)
	}
	commands := []string{powershellSum(name), certutilCommand(name)}
	if c.byCertutil.Load() {
		commands = commands[1:]
	}
	var failed error
	for _, command := range commands {
		text, err := c.sumOnce(ctx, command)
		if err == nil {
			sum, program, err = parseSum(text, size)
		}
		switch {
		case err == nil:
			c.byCertutil.Store(program == certutil)
			return sum, program, nil
		case c.ended(ctx):
			return "", "", c.fileError("sum up", path, err)
		case errors.Is(err, errOtherSize):
			return "", "", fmt.Errorf("%w: %w", ErrNoSumOfFile, err)
		}
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
	}
	return "", "", fmt.Errorf("%w: %w", ErrNoSum, failed)
}

// windowsName is a path of SFTP as programs of Windows take it.
func windowsName(path string) (string, error) {
	name := strings.ReplaceAll(path, "/", `\`)
	if rest, absolute := strings.CutPrefix(name, `\`); absolute && len(rest) > 1 && rest[1] == ':' {
		name = rest // SFTP writes /C:/folder
	}
	if strings.ContainsAny(name, "\"%!\n\r\x00$`") {
		return "", errors.New("the name holds what a shell of Windows would take for its own")
	}
	return name, nil
}

// powershellSum is a command for whatever shell the server runs: PowerShell is started
// with a script that needs no quotes of the shell's.
func powershellSum(name string) string {
	quoted := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	return `powershell -NoProfile -NonInteractive -Command "(Get-Item -LiteralPath ` + quoted +
		`).Length; 'powershell'; (Get-FileHash -Algorithm SHA256 -LiteralPath ` + quoted + `).Hash"`
}

// certutilCommand is a command for cmd, the server's shell unless it was given another one.
func certutilCommand(name string) string {
	quoted := `"` + name + `"`
	return `@for %I in (` + quoted + `) do @(echo %~zI& echo ` + certutil + `& ` + certutil + ` -hashfile ` + quoted + ` SHA256)`
}

// certutilSum finds the sum in what certutil prints of a file of n bytes: a line of its own
// behind one with the file's name, in pairs of digits up to Windows 8. An empty file is
// an error to certutil.
func certutilSum(text string, n int64) string {
	if n == 0 {
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:])
	}
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimSpace(line), " ", "")
		if len(line) == 2*sha256.Size && sumForm().MatchString(line) {
			return line
		}
	}
	return ""
}
