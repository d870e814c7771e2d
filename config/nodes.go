package config

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// Node is this machine among those that share a schedule.
type Node struct {
	Name   string // the host's own, where the file gives none
	Labels []string
}

// Takes reports whether a job that runs on some nodes may run here: one of them is
// this node's name or a label of it, in whatever case, or there is none.
func (n Node) Takes(runOn []string) bool {
	if len(runOn) == 0 {
		return true
	}
	for _, own := range append([]string{n.Name}, n.Labels...) {
		if slices.ContainsFunc(runOn, func(s string) bool { return strings.EqualFold(s, own) }) {
			return true
		}
	}
	return false
}

// RunLimits is how many runs may be under way at a time; 0 is any number. What is
// due beyond that waits for its turn.
type RunLimits struct {
	Runs    int // on this node
	PerHost int // to and from one host, on all nodes
	PerLink int // through one link, on all nodes
}

// History says how long the record keeps runs.
type History struct {
	MaxAge time.Duration // 0: for ever
	Keep   int           // of each job; 0: any number
}

type nodeSection struct {
	Name   text  `yaml:"name" doc:"Name of this machine among those that share a schedule; the host's own name if left out, as it is where all machines have the same file." example:"hk-mover-1"`
	Labels texts `yaml:"labels" also:"label tags roles" doc:"What run_on may ask for beside the name." example:"dmz"`
}

type limitsSection struct {
	Runs    number `yaml:"runs" also:"maxruns concurrency parallel" range:"0 10000" default:"0" doc:"How many runs this node has under way at a time; what is due beyond that waits for its turn. 0 sets no limit." example:"20"`
	PerHost number `yaml:"per_host" also:"perhost" range:"0 10000" default:"0" doc:"How many runs to and from one host there are at a time, on all nodes together; 0 sets no limit." example:"4"`
	PerLink number `yaml:"per_link" also:"perlink pertunnel" range:"0 10000" default:"0" doc:"How many runs through one link there are at a time, on all nodes together; 0 sets no limit." example:"8"`
}

type historySection struct {
	MaxAge duration `yaml:"max_age" also:"maxage age" default:"400d" doc:"How long runs are kept, with what belongs to them; 0s keeps them for ever. The last run of a job and its last success always stay." example:"400d"`
	Keep   number   `yaml:"keep" also:"runs maxruns count" range:"0 10000000" default:"0" doc:"How many of the last runs of each job are kept; 0 sets no number. Of max_age and this, what is reached first holds." example:"1000"`
}

// node makes what the section says.
func (r *rules) node(s *nodeSection) Node {
	n := Node{Name: s.Name.value, Labels: r.nodeNames(&s.Labels)}
	if s.Name.given {
		r.name(n.Name, s.Name.at, make(map[string]string))
	} else {
		host, _ := os.Hostname() // without one, it is named after nothing
		n.Name = nodeName(host)
	}
	return n
}

// nodeNames reads names and labels of nodes, each once.
func (r *rules) nodeNames(t *texts) []string {
	var all []string
	for _, item := range t.items {
		switch {
		case !nameForm.MatchString(item.value):
			r.problem(item.at, "%s cannot be the name or a label of a node", quote(item.value)).
				suggest("it has up to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit")
			continue
		case slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, item.value) }):
			r.problem(item.at, "%s stands in `%s` twice", quote(item.value), t.at.name).suggest("keep one of them")
			continue
		}
		all = append(all, item.value)
	}
	return all
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// nodeName makes a name of that of a host.
func nodeName(host string) string {
	name := strings.TrimLeft(notInNames.ReplaceAllString(host, "-"), "._-")
	name = strings.TrimRight(name[:min(len(name), 64)], ".-")
	if name == "" {
		return "node"
	}
	return name
}

// A Store is the database that the record is kept in. The zero value is none: it
// is kept in a file of the state folder.
type Store struct {
	url string // without a password
	ref Secret // of the whole URL
}

// IsZero reports that the file names none.
func (s Store) IsZero() bool { return s.url == "" && s.ref.IsZero() }

// URL returns where the database is, with its password if it has one: nothing that
// may be printed. Errors do not hold it.
func (s Store) URL(ctx context.Context) (string, error) {
	if s.ref.IsZero() {
		return s.url, nil
	}
	secret, err := s.ref.Resolve(ctx)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(secret))
	if _, err := url.Parse(text); err != nil || !isPostgreSQL(text) {
		return "", fault.New(fault.Config, "what `store` refers to is no URL of PostgreSQL").
			WithHint("it wants one line such as postgres://linehaul:PASSWORD@db.example.net/linehaul, with %%XX for what is not a letter or digit of the password")
	}
	return text, nil
}

// String is the URL where the file has it, and a mask for a secret.
func (s Store) String() string {
	if s.ref.IsZero() {
		return s.url
	}
	return mask
}

// MarshalText returns the same.
func (s Store) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns the same.
func (s Store) LogValue() slog.Value { return slog.StringValue(s.String()) }

// storeRef is the key of a database: a URL, or a reference to a secret that is one.
type storeRef struct{ secretRef }

// storePattern is what a store may look like.
const storePattern = `^(env|file|command|credential):.+|^postgres(ql)?://`

func isPostgreSQL(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// store reads where the record is kept. Messages do not repeat the value: it may
// hold a password.
func (r *rules) store(v *storeRef) Store {
	if !v.given {
		return Store{}
	}
	scheme, _, _ := strings.Cut(v.value, ":")
	switch scheme {
	case "env", "file", "command", "credential", "keyring", "dpapi":
		return Store{ref: r.secret(&v.secretRef)}
	}
	if !isPostgreSQL(v.value) {
		r.problem(v.at, "`%s` wants a URL of PostgreSQL, or a reference to a secret that is one", v.at.name).
			suggest("write postgres://USER@HOST/DATABASE, env:NAME or file:PATH; without it, the record is kept in a file of the state folder")
		return Store{}
	}
	u, err := url.Parse(v.value)
	if err != nil {
		r.problem(v.at, "`%s` cannot be read as a URL", v.at.name).suggest("write it as in postgres://linehaul@db.example.net:5432/linehaul")
		return Store{}
	}
	_, password := u.User.Password()
	for key := range u.Query() {
		password = password || strings.Contains(strings.ToLower(key), "password")
	}
	if password {
		r.problem(v.at, "`%s` holds a password", v.at.name).
			suggest("put the whole URL into an environment variable, or into a file that only the service can read, and write env:NAME or file:PATH")
		return Store{}
	}
	return Store{url: v.value}
}

var (
	_ slog.LogValuer = Store{}
	_ leaf           = (*storeRef)(nil)
)
