package pageant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeWindow answers each request with shared, after a time, and notes what
// it was asked.
type fakeWindow struct {
	shared []byte
	after  time.Duration

	mu     sync.Mutex
	asked  [][]byte
	limits []time.Duration
}

func (w *fakeWindow) ask(request []byte, limit time.Duration) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.limits = append(w.asked, request), append(w.limits, limit)
	if w.after > limit {
		time.Sleep(limit)
		return nil, os.ErrDeadlineExceeded
	}
	time.Sleep(w.after)
	return w.shared, nil
}

// memory is what the two share after an answer was put there.
func memory(answer []byte) []byte {
	shared := make([]byte, sharedSize)
	copy(shared, "an old request")
	copy(shared, answer)
	return shared
}

func TestMessageConn(t *testing.T) {
	w := &fakeWindow{shared: memory(list(2))}
	c := newMessageConn(w.ask)
	defer c.Close()
	for range 2 {
		// As the SSH library may and may not do: in parts, and at once.
		for _, part := range [][]byte{{0, 0}, {0, 1}, {agentRequestIdentities}} {
			if n, err := c.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if answer, err := ReadMessage(c); err != nil || !bytes.Equal(answer, list(2)) {
			t.Fatalf("got % x, %v", answer, err)
		}
	}
	if len(w.asked) != 2 || !bytes.Equal(w.asked[1], frame(agentRequestIdentities)) || w.limits[0] != askTime {
		t.Errorf("asked % x within %v", w.asked, w.limits)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
		t.Errorf("read without a request: %v", err)
	}
}

func TestMessageConnRefuses(t *testing.T) {
	long := make([]byte, maxRequest+1)
	binary.BigEndian.PutUint32(long, maxRequest+1-lengthSize)
	request := frame(agentRequestIdentities)
	huge, most := memory([]byte{0x80, 0, 0, 0}), memory([]byte{0, 4, 0, 0, agentIdentitiesAnswer})
	tests := []struct {
		name            string
		request, shared []byte
		size            int // of the answer; 0 if there is none
		error           string
	}{
		{"longest request", append([]byte{0, 0, 31, 252}, make([]byte, maxRequest-lengthSize)...), memory(list(1)), 9, ""},
		{"too long a request", long, memory(list(1)), 0, "more than 8192 bytes"},
		{"length of a request too small", append([]byte{0, 0, 0, 1}, "ab"...), memory(list(1)), 0, "a request of 6 bytes that claims to have 5"},
		{"length of a request too great", append([]byte{0, 0, 0, 9}, "ab"...), memory(list(1)), 0, "a request of 6 bytes that claims to have 13"},
		{"length of a request huge", []byte{0xff, 0xff, 0xff, 0xff, 11}, memory(list(1)), 0, "a message of 4294967295 bytes"},
		{"no more than a length", []byte{0, 0, 0, 0}, memory(list(1)), 0, "a message of 0 bytes"},
		{"longest answer", request, most, lengthSize + maxAnswer, ""},
		{"answer longer than its memory", request, most[:sharedSize-1], 0, "an answer of 262148 bytes in 262147 bytes of memory"},
		{"answer of 2^31 bytes", request, huge, 0, "a message of 2147483648 bytes"},
		{"empty answer", request, memory(make([]byte, 4)), 0, "a message of 0 bytes"},
		{"no memory", request, nil, 0, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &fakeWindow{shared: tt.shared}
			c := newMessageConn(w.ask)
			defer c.Close()
			_, err := c.Write(tt.request)
			var answer []byte
			if err == nil {
				answer, err = ReadMessage(c)
			}
			if (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
				t.Fatalf("got %v, want %q", err, tt.error)
			}
			if err == nil && len(answer) != tt.size {
				t.Errorf("%d bytes, want %d", len(answer), tt.size)
			}
		})
	}
}

// TestAnswerIsACopy: what another program writes into the memory afterwards is
// not seen.
func TestAnswerIsACopy(t *testing.T) {
	shared := memory(list(1))
	answer, err := answerIn(shared)
	if err != nil {
		t.Fatal(err)
	}
	clear(shared)
	if !bytes.Equal(answer, list(1)) {
		t.Errorf("got % x", answer)
	}
}

func TestMessageConnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWindow{shared: memory(list(1)), after: 2 * askTime}
		c := newMessageConn(w.ask)
		start := time.Now()
		ask := func() error {
			if _, err := c.Write(frame(agentRequestIdentities)); err != nil {
				t.Fatal(err)
			}
			_, err := ReadMessage(c)
			return err
		}
		if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != askTime {
			t.Errorf("no deadline: %v after %v", err, time.Since(start))
		}
		c.SetDeadline(time.Now().Add(time.Second))
		start = time.Now()
		if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("with a deadline: %v after %v", err, time.Since(start))
		}
		if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second || len(w.asked) != 2 {
			t.Errorf("past a deadline: %v after %v, %d times", err, time.Since(start), len(w.asked))
		}

		c.SetDeadline(time.Time{})
		start = time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			c.Close()
			c.Close()
		}()
		if err := ask(); err != net.ErrClosed || time.Since(start) != 3*time.Second {
			t.Errorf("closed while it waits: %v after %v", err, time.Since(start))
		}
		if err := ask(); err != net.ErrClosed {
			t.Errorf("closed: %v", err)
		}
		time.Sleep(askTime) // until the window's time is up
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.asked) != 3 {
			t.Errorf("asked %d times, want 3", len(w.asked))
		}
	})
}

// FuzzAnswer: whatever another program puts into the memory, the answer is the
// piece at its beginning that its length names, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(list(1))
	f.Add(memory(list(200))[:64])
	f.Add([]byte{0, 0, 0, 1, agentFailure})
	f.Add([]byte{0x80, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, shared []byte) {
		answer, err := answerIn(shared)
		if err != nil {
			if answer != nil {
				t.Errorf("an answer with the error %v", err)
			}
			return
		}
		n := int(binary.BigEndian.Uint32(answer))
		if n < 1 || n > maxAnswer || len(answer) != lengthSize+n || !bytes.HasPrefix(shared, answer) {
			t.Errorf("% x of % x", answer, shared)
		}
		again, err := ReadMessage(bytes.NewReader(shared))
		if err != nil || !bytes.Equal(again, answer) {
			t.Errorf("as a stream: % x, %v", again, err)
		}
	})
}
