package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowKinds are clients that take as long as they can. Each begins with a request on its connection, or with many whose answers it
// does not read, and goes on a byte at a time.
var slowKinds = map[string]struct{ begin, drip string }{
	"header": {"GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-Slow: ", "x"},
	"body":   {"POST /v1/integrations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n", " "},
	"read":   {strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 30), ""},
}

// slow opens a connection of a kind, tells that it has, and drips until it fails or end is closed.
func slow(t *testing.T, address, kind string, pause time.Duration, opened func(), end <-chan struct{}) error {
	t.Helper()
	told := sync.OnceFunc(opened)
	defer told()
	dialer := net.Dialer{Timeout: patience}
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.(*net.TCPConn).SetReadBuffer(1024); err != nil { // and read nothing
		return err
	}
	if _, err := io.WriteString(c, slowKinds[kind].begin); err != nil {
		return nil //nolint:nilerr // closed already
	}
	told()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-tick.C:
		}
		if drip := slowKinds[kind].drip; drip != "" {
			if _, err := io.WriteString(c, drip); err != nil {
				<-end
				return nil //nolint:nilerr // closed, as it should be
			}
		}
	}
}

// connections counts what a server holds open.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]time.Time
	long time.Duration // the longest that one was open
}

func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = time.Now()
	case http.StateClosed, http.StateHijacked:
		c.long = max(c.long, time.Since(c.open[conn]))
		delete(c.open, conn)
	}
}

func (c *connections) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *connections) longest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.long
}

// bounded serves by a listener of the service with a tenth of its times.
func bounded(t *testing.T, most int, h http.HandlerFunc) (*listener, *connections) {
	t.Helper()
	b := publicBounds(most)
	l, err := listen("api", "127.0.0.1:0", h, bounds{b.header / 10, b.read / 10, b.write / 10, b.idle / 10, most}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	held := &connections{open: map[net.Conn]time.Time{}}
	l.server.ConnState = held.note
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	t.Cleanup(func() {
		_ = l.close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l, held
}

// TestSlowClientsAreCutOff holds 60 connections as slowly as can be, while others are answered; with a tenth of the service's times.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 8<<20)
	l, held := bounded(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil && r.URL.Path != "/quick" {
			_, _ = io.WriteString(w, large)
		}
	})
	end := make(chan struct{})
	var all sync.WaitGroup
	for kind := range slowKinds {
		for range 20 {
			all.Go(func() {
				if err := slow(t, l.address(), kind, 20*time.Millisecond, func() {}, end); err != nil {
					t.Error(err)
				}
			})
		}
	}
	quick := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	began := time.Now()
	for seen := 0; (seen < 50 || held.left() > 1) && time.Since(began) < patience; seen++ {
		asked := time.Now()
		resp, err := quick.Get("http://" + l.address() + "/quick")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(asked); took > time.Second {
			t.Errorf("somebody else was answered after %v", took)
		}
	}
	close(end)
	all.Wait()
	if long := held.longest(); long > 5*time.Second {
		t.Errorf("a connection was held for %v", long)
	}
}

// TestHeadersBeyondTheLimitAreRefused sends headers of a little less and a little more than 16 KiB.
func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	l, _ := bounded(t, 3, func(http.ResponseWriter, *http.Request) {})
	for size, want := range map[int]int{15 << 10: http.StatusOK, 17 << 10: http.StatusRequestHeaderFieldsTooLarge, 24 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.address(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("x", size))
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a header of %d bytes: %d, want %d", size, resp.StatusCode, want)
		}
	}
}

// TestConnectionsBeyondTheLimitWait opens one more than may be open.
func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	t.Parallel()
	l, held := bounded(t, 3, func(http.ResponseWriter, *http.Request) {})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.address())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answered := func(c net.Conn, within time.Duration) bool {
		if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(make([]byte, 1))
		return n == 1 && err == nil
	}
	var open []net.Conn
	for range 3 {
		open = append(open, dial())
		if !answered(open[len(open)-1], patience) {
			t.Fatal("a connection within the limit was not served")
		}
	}
	further := dial()
	defer func() { _ = further.Close() }()
	if answered(further, 100*time.Millisecond) || held.left() != 3 {
		t.Errorf("a connection beyond the limit was served; %d are open", held.left())
	}
	for _, c := range open {
		_ = c.Close()
	}
	if !answered(further, patience) {
		t.Error("it was not served when there was room")
	}
}
