package tunnelbench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"linehaul/internal/bench"
	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
)

// TestMain is an end of the line, if this process was started as one; else it
// reads the flags and runs the tests.
func TestMain(m *testing.M) {
	if act() {
		os.Exit(0)
	}
	flag.String("case", ".", "run the cases whose names match this pattern")
	flag.Int("rounds", 1, "how often each client runs each case")
	flag.Int64("mib", 4, "how much is moved, in MiB")
	flag.String("ike", "aes256gcm16-prfsha384-ecp384", "the proposal of IKE")
	flag.String("esp", "aes256gcm16", "the proposal of ESP")
	os.Exit(m.Run())
}

// setting reads a flag that TestMain made.
func setting[T any](name string) T { return flag.Lookup(name).Value.(flag.Getter).Get().(T) }

// A runner is a lab with both clients.
type runner struct {
	t         *testing.T
	g         *gateway.Gateway
	program   string    // this one, where others may read it
	proposals [2]string // of IKE and of ESP
}

// A match is a case with what both clients do in it. There is none of strongSwan
// where there is nothing to compare with.
type match struct {
	bench.Case
	linehaul, strongswan func() bench.Transfer
}

// matches are all cases.
func (r *runner) matches() []match {
	size := setting[int64]("mib") << 20
	f := r.files(size)
	far := Line{RTT: 50 * time.Millisecond}
	full := Line{RTT: 50 * time.Millisecond, Rate: 25e6, Queue: 1250e3} // a queue as long as the line
	var all []match
	for _, m := range []match{
		{
			Case:       bench.Case{Name: "tunnel/get", What: "down through a libipsec gateway"},
			linehaul:   func() bench.Transfer { return r.client(roleTunnel, Order{Size: size}) },
			strongswan: func() bench.Transfer { return r.client(roleDirect, Order{Size: size}) },
		},
		{
			Case:       bench.Case{Name: "tunnel/put", What: "up through a libipsec gateway"},
			linehaul:   func() bench.Transfer { return r.client(roleTunnel, Order{Put: true, Size: size}) },
			strongswan: func() bench.Transfer { return r.client(roleDirect, Order{Put: true, Size: size}) },
		},
		{
			Case:       bench.Case{Name: "ssh/get", What: "a file by linehaul get, from login to exit"},
			linehaul:   func() bench.Transfer { return f.move(false, "through") },
			strongswan: func() bench.Transfer { return f.move(false, "plain") },
		},
		{
			Case:       bench.Case{Name: "ssh/put", What: "a file by linehaul put, from login to exit"},
			linehaul:   func() bench.Transfer { return f.move(true, "through") },
			strongswan: func() bench.Transfer { return f.move(true, "plain") },
		},
		{
			Case:     bench.Case{Name: "50ms/get", What: "down, with 50 ms before the gateway"},
			linehaul: func() bench.Transfer { return r.client(roleTunnel, Order{Size: size, Line: far}) },
		},
		{
			Case:     bench.Case{Name: "50ms/put", What: "up, with 50 ms before the gateway"},
			linehaul: func() bench.Transfer { return r.client(roleTunnel, Order{Put: true, Size: size, Line: far}) },
		},
		{
			Case:     bench.Case{Name: "50ms-full/get", What: "down, 50 ms, 200 Mbit/s and a queue of 1.25 MB before the gateway"},
			linehaul: func() bench.Transfer { return r.client(roleTunnel, Order{Size: size, Line: full}) },
		},
		{
			Case:     bench.Case{Name: "50ms-full/put", What: "up, 50 ms, 200 Mbit/s and a queue of 1.25 MB before the gateway"},
			linehaul: func() bench.Transfer { return r.client(roleTunnel, Order{Put: true, Size: size, Line: full}) },
		},
	} {
		m.Files, m.Size, m.Goal = 1, size, 1
		all = append(all, m)
	}
	return all
}

// TestTunnel is the benchmark. Without flags it moves a little, once.
func TestTunnel(t *testing.T) {
	wanted, err := regexp.Compile(setting[string]("case"))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t)
	var report bench.Report
	for _, m := range r.matches() {
		if wanted.MatchString(m.Name) {
			report.Results = append(report.Results, r.run(m))
		}
	}
	if len(report.Results) == 0 {
		t.Fatalf("no case matches %q", wanted)
	}
	if err := report.Text(os.Stdout); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) *runner {
	t.Helper()
	r := &runner{t: t, proposals: [2]string{setting[string]("ike"), setting[string]("esp")}}
	r.g = gateway.Start(t, gateway.Options{Client: true, Row: gateway.Row{IKE: r.proposals[0], ESP: r.proposals[1]}})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	r.program = filepath.Join(r.g.Dir, "bench.test")
	if err := os.WriteFile(r.program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	server := r.g.LanHost.Command(exec.Command(r.program))
	p := lab.Start(t, filepath.Join(r.g.Dir, "server.log"), []string{role + "=" + roleServer}, server.Path, server.Args[1:]...)
	p.Await(t, "listening")
	return r
}

// run runs all rounds of a case, the clients in turn.
func (r *runner) run(m match) bench.Result {
	r.t.Helper()
	clients, rows := []func() bench.Transfer{m.linehaul}, []bench.Row{{Client: "linehaul", Linehaul: true}}
	if m.strongswan != nil {
		clients = append(clients, func() bench.Transfer { return r.byStrongSwan(m.strongswan) })
		rows = append(rows, bench.Row{Client: "strongSwan"})
	}
	for round := range setting[int]("rounds") {
		for i := range clients {
			i = (i + round) % len(clients)
			gate := r.g.Used()
			x := clients[i]()
			x.Round, x.ServerCPU = round, r.g.Used()-gate
			rows[i].Runs = append(rows[i].Runs, x)
			fmt.Fprintf(os.Stderr, "%s, round %d, %s: %s\n", m.Name, round+1, rows[i].Client, x)
			if x.Err != nil {
				r.t.Fatal(x.Err)
			}
		}
	}
	return bench.Result{Case: m.Case, Rows: rows}
}

// byStrongSwan has a strongSwan on the road while a client works, which costs
// what both take. It is up before the clock runs.
func (r *runner) byStrongSwan(client func() bench.Transfer) bench.Transfer {
	if err := r.g.Client.Initiate(); err != nil {
		return bench.Transfer{Err: err}
	}
	defer r.g.Client.Terminate()
	before := r.g.Client.Used()
	x := client()
	x.ClientCPU += r.g.Client.Used() - before
	return x
}

// client runs a client on the road, as an ordinary user.
func (r *runner) client(as string, o Order) bench.Transfer {
	o.Proposals = r.proposals
	what, err := json.Marshal(o)
	if err != nil {
		return bench.Transfer{Err: err}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.program)
	cmd.Env = append(os.Environ(), role+"="+as, order+"="+string(what))
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	var s Spent
	if err = r.g.RoadUser(cmd).Run(); err == nil {
		err = json.Unmarshal(out.Bytes(), &s)
	}
	if err != nil {
		return bench.Transfer{Err: fmt.Errorf("%s client: %w\n%s", as, err, log.String())}
	}
	return bench.Transfer{Wall: s.Wall, ClientCPU: s.CPU, RSS: s.RSS}
}
