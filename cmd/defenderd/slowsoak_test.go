//go:build soak

package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
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
	f := newFleet(t)
	f.serve("DEFENDERD_KEYRING=" + seal.NewKey().Reveal())
	address := strings.TrimPrefix(f.api, "http://")
	before := f.sockets()
	end := make(chan struct{})
	began := time.Now()
	var all sync.WaitGroup
	for kind := range slowKinds {
		for range each {
			all.Go(func() {
				if err := slow(t, address, kind, time.Second, end); err != nil {
					t.Error(err)
				}
			})
		}
	}
	var took []time.Duration
	most, closed := 0, time.Duration(0)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for time.Since(began) < 32*time.Second {
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
		held := f.sockets()
		most = max(most, held)
		if held <= before+2 && most > each && closed == 0 {
			closed = time.Since(began)
		}
		if held > before+2 {
			closed = 0
		}
	}
	close(end)
	all.Wait()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d connections held at most, all closed after %v; %d other requests, p99 %v, longest %v", most-before, closed, len(took), p99, took[len(took)-1])
	if closed == 0 || closed > 30*time.Second || p99 > time.Second {
		t.Errorf("closed after %v, p99 of others %v", closed, p99)
	}
}

// sockets counts those of the service's process.
func (f *fleet) sockets() (n int) {
	dir := fmt.Sprintf("/proc/%d/fd", f.process.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
