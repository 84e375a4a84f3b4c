package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// demoDirectory is where a demonstration on the tests' server keeps its things; its database is dropped in the end.
func demoDirectory(t *testing.T) (dir string, environ []string) {
	t.Helper()
	server := os.Getenv("DATABASE_URL")
	if server == "" {
		t.Fatal("DATABASE_URL is not set: run the tests with \"make test\", which brings a PostgreSQL along")
	}
	dir = filepath.Join(t.TempDir(), "demo")
	t.Cleanup(func() {
		state, err := readDemoState(dir, demoSize{}, false)
		if err != nil {
			t.Error(err)
			return
		}
		db, err := sql.Open("postgres", server)
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close() //nolint:errcheck // a test's own connection
		if _, err := db.Exec("drop database if exists " + pq.QuoteIdentifier(state.Database) + " with (force)"); err != nil {
			t.Error(err)
		}
	})
	return dir, []string{"DATABASE_URL=" + server}
}

var smallDemo = []string{"--machines", "20", "--findings", "10", "--catalogue", "300"}

func TestDemoTwice(t *testing.T) {
	t.Parallel()
	dir, environ := demoDirectory(t)
	line := append([]string{"demo", "--exit", "--dir", dir}, smallDemo...)
	first := must(t, environ, line...)
	for _, want := range []string{"credentials_invalid", "Remedy:", "Connected as int_", "created", "Nothing changed", "figures are equal"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first demonstration does not show %q:\n%s", want, first)
		}
	}
	second := must(t, environ, "demo", "--exit", "--dir", dir)
	for _, want := range []string{"exists from an earlier start", "Nothing changed", "figures are equal"} {
		if !strings.Contains(second, want) {
			t.Errorf("the second demonstration does not show %q:\n%s", want, second)
		}
	}
	state, err := readDemoState(dir, demoSize{}, false)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the first output": first, "the second output": second, "the log": string(log)} {
		if strings.Contains(text, state.Secret) {
			t.Errorf("%s shows the client secret", what)
		}
	}
	checkPublicIDs(t, string(log), state.TenantID)
	if _, err := invoke(t, environ, "demo", "--exit", "--dir", dir, "--machines", "21"); err == nil || !strings.Contains(err.Error(), "--machines 20") {
		t.Errorf("another size in the same directory: %v", err)
	}
}

// checkPublicIDs expects the ids that the API shows in the log, and no other spelling of an id nor a name.
func checkPublicIDs(t *testing.T, log, tenantID string) {
	t.Helper()
	request := regexp.MustCompile(`msg=request .* tenant=` + tenantID + ` key=key_[0-9a-f]{32}`)
	run := regexp.MustCompile(`msg="run ended" tenant=` + tenantID + ` run=run_[0-9a-f]{32} integration=int_[0-9a-f]{32}`)
	for _, want := range []*regexp.Regexp{request, run} {
		if !want.MatchString(log) {
			t.Errorf("the log has no line like %s", want)
		}
	}
	if other := regexp.MustCompile(`.*([0-9a-f]{8}-[0-9a-f]{4}-|tenant=\d|Contoso).*`).FindString(log); other != "" {
		t.Errorf("the log names something otherwise than the API: %s", other)
	}
}

// signalling cancels once a text was written.
type signalling struct {
	text   string
	cancel context.CancelFunc
	seen   bytes.Buffer
}

func (s *signalling) Write(p []byte) (int, error) {
	s.seen.Write(p)
	if strings.Contains(s.seen.String(), s.text) {
		s.cancel()
	}
	return len(p), nil
}

func TestDemoEndsByCtrlC(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"Press Ctrl-C": true, "The first import": false} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			dir, environ := demoDirectory(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out := &signalling{text: text, cancel: cancel}
			began := time.Now()
			err := run(ctx, append([]string{"defenderd", "demo", "--dir", dir}, smallDemo...), environ, out, io.Discard)
			if time.Since(began) >= patience {
				t.Fatalf("%q was not reached:\n%s", text, &out.seen)
			}
			if ok && err != nil || !ok && (err == nil || !strings.Contains(err.Error(), "interrupted")) {
				t.Errorf("ended with %v", err)
			}
			again, err := openStage(dir, demoSize{}, false)
			if err != nil {
				t.Fatalf("the directory is not given back: %v", err)
			}
			if err := again.strike(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestADemoThatNeverStartedFixesNoSizes waits for the stage to be set, which is in other sizes then, and for no walk.
func TestADemoThatNeverStartedFixesNoSizes(t *testing.T) {
	t.Parallel()
	dir, environ := demoDirectory(t)
	if _, err := invoke(t, []string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/none?sslmode=disable"}, "demo", "--exit", "--dir", dir, "--machines", "2"); err == nil {
		t.Fatal("started without a database")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := &signalling{text: "service:   on", cancel: cancel}
	err := run(ctx, append([]string{"defenderd", "demo", "--exit", "--dir", dir}, smallDemo...), environ, out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "interrupted") || !strings.Contains(out.seen.String(), out.text) || !strings.Contains(out.seen.String(), "a directory of 20 machines") {
		t.Errorf("not in the sizes asked for: %v\n%s", err, &out.seen)
	}
}

func TestDemoAgainstWhatRunsAlready(t *testing.T) {
	t.Parallel()
	findings := 5
	both := []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	sim := defendersim.New(defendersim.Config{CatalogueSize: 200})
	for i, spec := range []defendersim.DirectorySpec{
		{Domain: "empty.example", EdgeCases: new(bool)},
		{Domain: "full.example", Machines: 20, FindingsPerMachine: &findings},
	} {
		spec.ID = fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a0%d", i)
		spec.Apps = []defendersim.App{
			{ClientID: "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a00", Secret: resealSecret, Roles: both, Disabled: true},
			{ClientID: "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01", Secret: resealSecret, Roles: both},
		}
		if err := sim.AddDirectory(spec); err != nil {
			t.Fatal(err)
		}
	}
	microsoft, control := httptest.NewServer(sim.Handler()), httptest.NewServer(sim.ControlHandler())
	t.Cleanup(microsoft.Close)
	t.Cleanup(control.Close)
	environ := append(environment(t), "DEFENDERD_LOGIN_URL="+microsoft.URL, "DEFENDERD_API_URL="+microsoft.URL, "DEFENDERD_UNSAFE_TEST_UPSTREAM=true", "DEFENDERD_POLL=100ms")
	s := start(t, environ)
	key := filepath.Join(t.TempDir(), "key")
	must(t, environ, "tenant", "admit", "--name", "Contoso", "--key-file", key)
	for range 2 {
		if out := must(t, nil, "demo", "--against", s.api, "--control", control.URL+"/", "--key-file", key); !strings.Contains(out, "figures are equal") {
			t.Errorf("the comparison is missing:\n%s", out)
		}
	}
	if _, err := invoke(t, nil, "demo", "--against", s.api, "--machines", "3", "--key-file", key); err == nil {
		t.Error("--machines was taken together with --against")
	}
}

func TestDemoTakesItsDirectoryAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openStage(dir, demoSize{1, 1, 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.strike() //nolint:errcheck // tested below
	if _, err := invoke(t, nil, "demo", "--dir", dir); err == nil || !strings.Contains(err.Error(), "running in") {
		t.Errorf("a second one in the same directory: %v", err)
	}
	if err := s.strike(); err != nil {
		t.Error(err)
	}
}
