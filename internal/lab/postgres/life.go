package postgres

import (
	"syscall"
	"testing"
)

// Restart ends the server as an administrator would who has no time for its
// clients (a fast shutdown), unless it has ended, and starts it again at the
// same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	thaw(p)
	p.Tell(syscall.SIGINT)
	if !p.Wait(patience) {
		t.Fatalf("postgres does not end\n%s", p.Log())
	}
	s.launch(t)
}

// Kill ends all processes of the server at once, as if by kill -9. Its clients
// see their connections closed. Restart has it recover.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	freeze(p) // so that none is made while they are killed
	p.Kill()
	if !p.Wait(patience) {
		t.Fatal("postgres cannot be killed")
	}
}

// Stop freezes all processes of the server, so that connections are open and
// nobody answers, until Continue or the end of the test.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	t.Cleanup(func() { thaw(p) })
	freeze(p)
}

// Continue ends Stop.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	thaw(s.process)
}
