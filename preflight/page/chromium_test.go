//go:build linux

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// A sight is what Chromium made of a page, in a network namespace without any
// interface up.
type sight struct {
	dom      []byte
	shot     image.Image
	requests []string // what the page asked the network for, whatever came of it
}

// look opens a file in Chromium.
func look(t *testing.T, page []byte, flags ...string) sight {
	t.Helper()
	lab.Need(t, "chromium")
	lab.NeedRoot(t)
	dir := t.TempDir()
	file, shot, netlog := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png"), filepath.Join(dir, "net.json")
	if err := os.WriteFile(file, page, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1200,2400",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--log-net-log=" + netlog, "--screenshot=" + shot, "--dump-dom",
	}, flags...)
	cmd := exec.CommandContext(ctx, lab.Path("chromium"), append(args, "file://"+file)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	// A group of its own, so that what it starts ends with it, and a network
	// that leads nowhere.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, words.String())
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatalf("no screenshot: %v\n%s", err, words.String())
	}
	defer f.Close()
	s := sight{dom: out.Bytes(), requests: requests(t, netlog)}
	if s.shot, err = png.Decode(f); err != nil {
		t.Fatal(err)
	}
	return s
}

// requests reads from Chromium's log of its network what was asked for on
// behalf of a page. What the browser asks for itself, such as its updates, has
// no page and so no network isolation key.
func requests(t *testing.T, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var log struct {
		Constants struct {
			LogEventTypes map[string]int `json:"logEventTypes"`
		} `json:"constants"`
		Events []struct {
			Type   int `json:"type"`
			Params struct {
				URL       string `json:"url"`
				Host      string `json:"host"`
				Isolation string `json:"network_isolation_key"`
				Anonymous string `json:"network_anonymization_key"`
			} `json:"params"`
		} `json:"events"`
	}
	if err := json.Unmarshal(raw, &log); err != nil {
		t.Fatalf("the log of the network: %v", err)
	}
	start, known := log.Constants.LogEventTypes["URL_REQUEST_START_JOB"]
	if !known || len(log.Events) == 0 {
		t.Fatalf("the log of the network has %d events, and knows requests: %v", len(log.Events), known)
	}
	var out []string
	for _, e := range log.Events {
		page := e.Params.Isolation + e.Params.Anonymous
		if !strings.Contains(page, "://") {
			continue
		}
		if e.Type == start {
			out = append(out, e.Params.URL)
		} else if e.Params.Host != "" {
			out = append(out, e.Params.Host)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// colours counts the pixels of each colour.
func colours(m image.Image) map[color.RGBA]int {
	plain := image.NewRGBA(m.Bounds())
	draw.Draw(plain, plain.Bounds(), m, m.Bounds().Min, draw.Src)
	out := map[color.RGBA]int{}
	for p := plain.Pix; len(p) >= 4; p = p[4:] {
		out[color.RGBA{p[0], p[1], p[2], p[3]}]++
	}
	return out
}

// TestChromium opens the fullest of the pages as whoever gets it by mail does:
// from a file, without a network. It is drawn with its own style, its plots
// hold as many points as there were probes, and it asks the network for nothing.
func TestChromium(t *testing.T) {
	r, o := withTransfer(), Options{Before: ptr(goodTransfer()), History: nights()}
	s := look(t, write(t, r, o))
	counts(parse(t, bytes.NewReader(s.dom)), r, o)
	if len(s.requests) > 0 {
		t.Errorf("the page asks for %q", s.requests)
	}
	if b := s.shot.Bounds(); b.Dx() != 1200 || b.Dy() != 2400 {
		t.Errorf("the screenshot is %v", b)
	}
	// Colours of the style sheet: paper, what was measured, what was lost. A
	// page without its style has none of them, a blank one only paper.
	seen := colours(s.shot)
	for name, c := range map[string]color.RGBA{"paper": {0xfd, 0xfd, 0xfc, 255}, "now": {0x1d, 0x5f, 0xa8, 255}, "before": {0x8f, 0xa6, 0xc2, 255}, "lost": {0xc4, 0x29, 0x1f, 255}, "ink": {0x16, 0x19, 0x1d, 255}} {
		if seen[c] < 100 {
			t.Errorf("%d pixels have the colour of %s", seen[c], name)
		}
	}
}

// TestChromiumDark: where people like it dark, the paper is.
func TestChromiumDark(t *testing.T) {
	seen := colours(look(t, write(t, refusedPort(), Options{}), "--force-dark-mode").shot)
	if n := seen[color.RGBA{0x14, 0x17, 0x1a, 255}]; n < 1200*2400/2 {
		t.Errorf("%d dark pixels", n)
	}
}

// TestChromiumCounts: the look that TestChromium takes does see a page that
// loads something, and the page's policy does stop it.
func TestChromiumCounts(t *testing.T) {
	const loads = `<link rel="stylesheet" href="http://192.0.2.1/a.css"><img src="http://images.example/x.png" alt="">`
	s := look(t, []byte("<!doctype html><html><head><title>x</title></head><body><p>x</p>"+loads+"</body></html>"))
	for _, want := range []string{"http://192.0.2.1/a.css", "http://images.example/x.png"} {
		if !slices.Contains(s.requests, want) {
			t.Errorf("%s is not among what was asked for: %q", want, s.requests)
		}
	}
	page := write(t, goodLine(), Options{})
	spoilt := bytes.Replace(page, []byte("<main>"), []byte("<main>"+loads), 1)
	if bytes.Equal(page, spoilt) {
		t.Fatal("the page is as it was")
	}
	if s := look(t, spoilt); len(s.requests) > 0 {
		t.Errorf("past the policy: %q", s.requests)
	}
}
