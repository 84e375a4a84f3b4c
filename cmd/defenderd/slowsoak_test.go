//go:build soak

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/seal"
)

// TestSlowClients opens 500 connections of each kind of slow client to the service as a process. All have to be closed within 30
// seconds, and other clients to be answered meanwhile: 99 of 100 within a second. SLOW_CLIENTS sets how many.
func TestSlowClients(t *testing.T) {
	each := setting("SLOW_CLIENTS", 500)
	line := seal.NewKey().Reveal()
	f := newFleet(t, line)
	f.serve("DEFENDERD_KEYRING=" + line)
	address := strings.TrimPrefix(f.api, "http://")
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var all, opening sync.WaitGroup
	for kind := range slowKinds {
		for range each {
			opening.Add(1)
			all.Go(func() {
				if err := slow(t, address, kind, time.Second, opening.Done, end); err != nil {
					t.Error(err)
				}
			})
		}
	}
	opening.Wait()
	began := time.Now()
	took, most, closed := f.askWhile(port, each, began.Add(32*time.Second))
	close(end)
	all.Wait()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d connections held at most, all closed after %v; %d other requests, p99 %v, longest %v", most, closed, len(took), p99, took[len(took)-1])
	if closed == 0 || closed > 30*time.Second || p99 > time.Second {
		t.Errorf("%d connections are left, closed after %v, p99 of others %v", sockets(t, port), closed, p99)
	}
}

// askWhile sends requests of somebody else, one after the other, and counts the connections to the port meanwhile: how many there were
// at most and, once that was more than so many, after how long none was left.
func (f *fleet) askWhile(port, more int, until time.Time) (took []time.Duration, most int, closed time.Duration) {
	f.t.Helper()
	t, began := f.t, time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for time.Now().Before(until) {
		asked := time.Now()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.api+"/v1/tenant", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+f.keys[0])
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("somebody else was answered %d", resp.StatusCode)
		}
		took = append(took, time.Since(asked))
		held := sockets(t, port)
		most = max(most, held)
		switch { // the last one asked may still be closing
		case held > 1:
			closed = 0
		case most > more && closed == 0:
			closed = time.Since(began)
		}
	}
	return took, most, closed
}

// sockets counts the connections to a port that a process holds: those of /proc/net/tcp with an inode, but for the listening one.
func sockets(t *testing.T, port int) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], local) && f[3] != "0A" && f[9] != "0" {
			n++
		}
	}
	return n
}
