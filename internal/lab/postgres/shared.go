package postgres

import (
	"sync"
	"testing"
)

// Shared is one server for all tests of a package, started when the first of
// them asks for it. The zero value is ready to use; End must be called after
// the tests:
//
//	var shared postgres.Shared
//
//	func TestMain(m *testing.M) { os.Exit(leak.Main(m, shared.End)) }
//
// A test that stops or kills its server has to have one of its own.
type Shared struct {
	mu     sync.Mutex
	server *Server
}

// NewDatabase makes an empty database and returns its URL. It goes with the
// test.
func (h *Shared) NewDatabase(t testing.TB) string {
	t.Helper()
	return h.start(t).NewDatabase(t)
}

func (h *Shared) start(t testing.TB) *Server {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil {
		s := newServer(t)
		t.Cleanup(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.server == nil { // it did not come up
				s.end()
			}
		})
		s.init(t, nil)
		s.launch(t)
		h.server = s
	}
	return h.server
}

// End ends the server, if there is one.
func (h *Shared) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		h.server.end()
		h.server = nil
	}
}
