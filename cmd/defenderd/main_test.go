package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// patience is how long a test waits for something that should take moments.
const patience = 30 * time.Second

// longCommand is what a command may take from start to end on a machine that has other things to do: a demonstration imports more than once.
const longCommand = 3 * time.Minute

// invoke runs one command line to its end.
func invoke(t *testing.T, environ []string, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longCommand)
	defer cancel()
	var out, told bytes.Buffer
	err = run(ctx, append([]string{"defenderd"}, args...), environ, &out, &told)
	huntCommand(t, environ, out.String(), told.String(), err)
	return out.String(), err
}

// must is invoke for command lines that have to succeed.
func must(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	out, err := invoke(t, environ, args...)
	if err != nil {
		t.Fatalf("defenderd %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// environment is what a fresh, migrated database and a new keyring need.
func environment(t *testing.T) []string {
	t.Helper()
	keyring := filepath.Join(t.TempDir(), "keyring")
	if err := writeSecret(keyring, seal.NewKey().Reveal()); err != nil {
		t.Fatal(err)
	}
	url := postgrestest.URL(t)
	t.Cleanup(func() { hunt.CheckTables(t, url) })
	return []string{"DEFENDERD_DATABASE_URL=" + url, "DEFENDERD_KEYRING_FILE=" + keyring}
}

// running is a service under test.
type running struct {
	api, admin string
	cancel     context.CancelFunc
	ended      chan error
	log        *lines
}

// lines is a log that tells its first line of a kind as soon as it is there.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	serving chan map[string]any
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	var entry map[string]any
	if json.Unmarshal(p, &entry) == nil && entry["msg"] == "serving" {
		l.serving <- entry
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start serves on free ports until the test ends.
func start(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, ended: make(chan error, 1), log: &lines{serving: make(chan map[string]any, 1)}}
	args = append([]string{"defenderd", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	go func() { r.ended <- run(ctx, args, environ, io.Discard, r.log) }()
	t.Cleanup(func() {
		huntMetrics(t, r.admin)
		cancel()
		<-r.ended
		huntLog(t, environ, r.log.String())
	})
	select {
	case entry := <-r.log.serving:
		r.admin = "http://" + entry["admin"].(string)
		if api, ok := entry["api"].(string); ok {
			r.api = "http://" + api
		}
	case err := <-r.ended:
		r.ended <- err
		t.Fatalf("the service did not start: %v\n%s", err, r.log)
	case <-time.After(patience):
		t.Fatalf("the service did not start in time\n%s", r.log)
	}
	return r
}

// stop tells the service to stop and returns what run returned.
func (r *running) stop(t *testing.T) error {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		r.ended <- nil // for the cleanup
		return err
	case <-time.After(patience):
		t.Fatal("the service did not stop in time")
		return nil
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:gosec,noctx // a test's own server
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// write puts a text into a file of the test's own.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
