package winsvc

import (
	"embed"
	"encoding/xml"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"linehaul/fault"
)

// The names of the files below units/, each for one service manager.
const (
	unitSystemd = "systemd"
	unitOpenRC  = "openrc"
	unitSysV    = "sysv"
	unitLaunchd = "launchd"
	unitFreeBSD = "freebsd"
	unitOpenBSD = "openbsd"
)

//go:embed units
var units embed.FS

// unit is what the files below units/ are made of.
type unit struct {
	Name, DisplayName, Description string
	Executable, WorkingDir, User   string

	CommandLine    []string // the executable and its arguments
	Arguments      string   // the arguments, quoted for a shell
	ShellCommand   string   // the command line, quoted for a shell
	ProcessName    string   // as the kernel cuts it
	ProcessPattern string   // a regular expression for the whole command line
	KillSeconds    int      // after which the service manager kills
}

// maxProcessName is how much of a program's name Linux keeps, in bytes.
const maxProcessName = 15

// render returns the file that tells a service manager about s, which has been
// checked.
func (s *Service) render(kind string) (string, error) {
	line := append([]string{s.Executable}, s.Arguments...)
	process := filepath.Base(s.Executable)
	u := unit{
		Name: s.Name, DisplayName: s.DisplayName, Description: s.Description,
		Executable: s.Executable, WorkingDir: s.WorkingDir, User: s.User,
		CommandLine:    line,
		Arguments:      shellWords(s.Arguments),
		ShellCommand:   shellWords(line),
		ProcessName:    process[:min(len(process), maxProcessName)],
		ProcessPattern: regexp.QuoteMeta(strings.Join(line, " ")),
		KillSeconds:    int(killAfter.Seconds()),
	}
	name := kind + ".tmpl"
	t, err := template.New(name).Funcs(template.FuncMap{
		"sh": shellWord, "systemd": systemdWord, "systemdText": systemdText, "xml": xmlText,
	}).ParseFS(units, "units/"+name)
	if err != nil {
		return "", fault.New(fault.Internal, "read the pattern of a %s unit: %w", kind, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, u); err != nil {
		return "", fault.New(fault.Internal, "write a %s unit: %w", kind, err)
	}
	return b.String(), nil
}

// plainWord holds the characters that mean themselves to a shell and to
// systemd.
const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@="

func isPlain(s string) bool { return s != "" && strings.Trim(s, plainWord) == "" }

// shellWord quotes s as one word for a POSIX shell.
func shellWord(s string) string {
	if isPlain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}

// systemdWord quotes s as one word of a command line (systemd.service(5),
// "Command lines"). An at sign means something at its start, before a path.
func systemdWord(s string) string {
	if isPlain(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(s) + `"`
}

// systemdText escapes the rest of a line (systemd.unit(5), "Specifiers"). A
// backslash at its end would take the next line in.
func systemdText(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, `\`), `%`, `%%`)
}

func xmlText(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}
