package pageant

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// list makes an answer that claims to list n keys.
func list(n byte) []byte { return []byte{0, 0, 0, 5, agentIdentitiesAnswer, 0, 0, 0, n} }

// agent opens a connection to an agent that gives these answers, one to each
// request, and then falls silent.
func agent(answers ...[]byte) func(context.Context) (Conn, error) {
	return func(context.Context) (Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for _, answer := range answers {
				if _, err := ReadMessage(theirs); err != nil {
					return
				}
				if _, err := theirs.Write(answer); err != nil {
					return
				}
			}
			io.Copy(io.Discard, theirs)
		}()
		return ours, nil
	}
}

func fails(text string) func(context.Context) (Conn, error) {
	return func(context.Context) (Conn, error) { return nil, errors.New(text) }
}

func TestFind(t *testing.T) {
	failure := []byte{0, 0, 0, 1, agentFailure}
	tests := []struct {
		name  string
		ways  []way
		how   string
		error string
	}{
		{"one", []way{{"a", agent(list(1))}}, "a", ""},
		{"the first of two", []way{{"a", agent(list(1))}, {"b", agent(list(2))}}, "a", ""},
		{"the only one", []way{{"a", fails("gone")}, {"b", agent(list(2))}}, "b", ""},
		{"the one with keys", []way{{"a", agent(list(0))}, {"b", agent(list(0))}, {"c", agent(list(1))}}, "c", ""},
		{"none with keys", []way{{"a", agent(list(0))}, {"b", agent(list(0))}, {"c", fails("gone")}}, "a", ""},
		{"one that does not list", []way{{"a", agent(failure)}, {"b", agent(list(1))}}, "b", ""},
		{"only one that does not list", []way{{"a", agent(failure)}}, "a", ""},
		{"none", []way{{"a", fails("not there")}, {"b", fails("another's")}}, "", "no agent answers (a: not there; b: another's)"},
		{"no agent", []way{{"a", agent([]byte("\x00\x00\x00\x02hi"))}}, "", "a: it does not answer as an agent does"},
		{"a short list", []way{{"a", agent([]byte{0, 0, 0, 4, agentIdentitiesAnswer, 0, 0, 1})}}, "", "as an agent does"},
		{"an empty message", []way{{"a", agent(make([]byte, 4))}}, "", "a message of 0 bytes"},
		{"a huge message", []way{{"a", agent([]byte{0x80, 0, 0, 0})}}, "", "a message of 2147483648 bytes, where 1 to 262144 are allowed"},
		{"none at all", nil, "", "no agent answers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, how, err := find(t.Context(), tt.ways)
			if conn != nil {
				defer conn.Close()
			}
			if how != tt.how || (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
				t.Errorf("got %q, %v; want %q, %q", how, err, tt.how, tt.error)
			}
		})
	}
}

// TestFindLeavesTheConnectionReady: the next request gets its own answer, and
// has no deadline left over.
func TestFindLeavesTheConnectionReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _, err := find(t.Context(), []way{{"a", agent(list(3), list(7))}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		time.Sleep(time.Hour)
		if _, err := conn.Write(frame(agentRequestIdentities)); err != nil {
			t.Fatal(err)
		}
		if answer, err := ReadMessage(conn); err != nil || !bytes.Equal(answer, list(7)) {
			t.Errorf("got % x, %v", answer, err)
		}
	})
}

// TestFindSilent: an agent that does not answer costs seconds, and the next
// one is asked.
func TestFindSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		conn, how, err := find(t.Context(), []way{
			{"busy", func(ctx context.Context) (Conn, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}},
			{"silent", agent()},
			{"good", agent(list(1))},
		})
		if err != nil || how != "good" {
			t.Fatalf("got %q, %v", how, err)
		}
		conn.Close()
		if took := time.Since(start); took != openTime+listTime {
			t.Errorf("took %v, want %v", took, openTime+listTime)
		}
	})
}

// TestFindEnds: the end of the context ends the search, with its cause.
func TestFindEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("the run was stopped")
		go func() {
			time.Sleep(time.Second)
			cancel(stop)
		}()
		conn, _, err := find(ctx, []way{{"empty", agent(list(0))}, {"silent", agent()}, {"good", agent(list(1))}})
		if conn != nil || err != stop {
			t.Errorf("got %v, %v", conn, err)
		}
	})
}
