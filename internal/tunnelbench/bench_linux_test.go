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
	"strings"
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
	t       *testing.T
	g       *gateway.Gateway
	program string // this one, where others may read it
	order   Order
}

// TestTunnel is the benchmark. Without flags it moves a little, once.
func TestTunnel(t *testing.T) {
	r := start(t)
	var report bench.Report
	for _, put := range []bool{false, true} {
		c := bench.Case{Name: "tunnel/get", Files: 1, Size: setting[int64]("mib") << 20, Put: put, Goal: 1, What: "down through a libipsec gateway"}
		if put {
			c.Name, c.What = "tunnel/put", "up through a libipsec gateway"
		}
		r.order.Put, r.order.Size = put, c.Size
		report.Results = append(report.Results, r.runCase(c))
	}
	var text strings.Builder
	if err := report.Text(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
}

func start(t *testing.T) *runner {
	t.Helper()
	r := &runner{t: t, order: Order{Proposals: [2]string{setting[string]("ike"), setting[string]("esp")}}}
	r.g = gateway.Start(t, gateway.Options{Client: true, Row: gateway.Row{IKE: r.order.Proposals[0], ESP: r.order.Proposals[1]}})
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

// runCase runs all rounds of a case, the clients in turn.
func (r *runner) runCase(c bench.Case) bench.Result {
	r.t.Helper()
	clients := []func() bench.Transfer{r.linehaul, r.strongswan}
	rows := []bench.Row{{Client: "linehaul", Linehaul: true}, {Client: "strongSwan"}}
	for round := range setting[int]("rounds") {
		for i := range clients {
			i = (i + round) % len(clients)
			gate := r.g.Swan.Used()
			x := clients[i]()
			x.Round, x.ServerCPU = round, r.g.Swan.Used()-gate
			rows[i].Runs = append(rows[i].Runs, x)
			fmt.Fprintf(os.Stderr, "%s, round %d, %s: %s\n", c.Name, round+1, rows[i].Client, x)
			if x.Err != nil {
				r.t.Fatal(x.Err)
			}
		}
	}
	return bench.Result{Case: c, Rows: rows}
}

// linehaul is a client with a tunnel in itself, as an ordinary user.
func (r *runner) linehaul() bench.Transfer { return r.client(roleTunnel) }

// strongswan is a client whose tunnel is strongSwan's, which costs what both
// take.
func (r *runner) strongswan() bench.Transfer {
	if err := r.g.Client.Initiate(); err != nil {
		return bench.Transfer{Err: err}
	}
	defer r.g.Client.Terminate()
	before := r.g.Client.Used()
	x := r.client(roleDirect)
	x.ClientCPU += r.g.Client.Used() - before
	return x
}

// client runs a client on the road.
func (r *runner) client(as string) bench.Transfer {
	what, err := json.Marshal(r.order)
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
