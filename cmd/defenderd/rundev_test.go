package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// heard is what a program writes, and a channel that closes once a text was among it.
type heard struct {
	mu   sync.Mutex
	all  bytes.Buffer
	text string
	seen chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := strings.Contains(h.all.String(), h.text)
	h.all.Write(p)
	if !before && strings.Contains(h.all.String(), h.text) {
		close(h.seen)
	}
	return len(p), nil
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.String()
}

// freeAddress is one that nobody listens on for the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String()
}

// runForDevelopment runs the script as "make run" does, in a directory of the test's own, until it says how to use it.
func runForDevelopment(t *testing.T, bin, dir, database string) (stop func(), output *heard) {
	t.Helper()
	port := func() string { _, port, _ := net.SplitHostPort(freeAddress(t)); return port }
	cmd := exec.Command("../../scripts/run-dev.sh")
	cmd.Env = append(os.Environ(), "BIN="+bin, "DEV_DIR="+dir, "DATABASE_URL="+database, "SIM_PORT="+port(), "SIM_CONTROL_PORT="+port(),
		"DEFENDERD_LISTEN="+freeAddress(t), "DEFENDERD_ADMIN_LISTEN="+freeAddress(t), "DEFENDERSIM_MACHINES=5", "DEFENDERSIM_CATALOGUE=50")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output = &heard{text: "In another shell", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("ended with %v\n%s", err, output)
			}
		case <-time.After(patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("did not end\n%s", output)
		}
	})
	t.Cleanup(stop)
	select {
	case <-output.seen:
	case err := <-ended:
		ended <- err
		t.Fatalf("ended before it was ready: %v\n%s", err, output)
	case <-time.After(patience):
		t.Fatalf("not ready in time\n%s", output)
	}
	return stop, output
}

// inShell runs a line in a shell that has read the environment the script wrote.
func inShell(t *testing.T, bin, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ceu", `. "$0/env"; PATH="$1:$PATH"; `+line, dir, bin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRunForDevelopmentCanBeUsed(t *testing.T) {
	t.Parallel()
	bin, dir, database := t.TempDir(), filepath.Join(t.TempDir(), "dev"), postgrestest.URL(t)
	if out, err := exec.Command("go", "build", "-o", bin, ".", "../defendersim").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stop, output := runForDevelopment(t, bin, dir, database)
	key := inShell(t, bin, dir, `echo "$KEY"`)
	client := api.New(inShell(t, bin, dir, `echo "$API"`), key)
	mine, err := client.GetTenant(t.Context())
	if err != nil || !strings.HasPrefix(mine.ID, "tnt_") {
		t.Fatalf("the key opens %+v, %v", mine, err)
	}
	if list := inShell(t, bin, dir, "defenderd tenant list"); !strings.Contains(list, mine.ID) {
		t.Errorf("the operator's commands see another database:\n%s", list)
	}
	body, err := os.ReadFile(filepath.Join(dir, "connect.json"))
	if err != nil {
		t.Fatal(err)
	}
	var wanted api.ConnectRequest
	if err := json.Unmarshal(body, &wanted); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, inShell(t, bin, dir, `echo "$API"`)+"/v1/integrations", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusCreated {
		t.Errorf("connecting as the script says answers %s", resp.Status)
	}
	stop()
	for _, name := range []string{"api-key", "env", "connect.json", "keyring", "simulator-secret"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if text := output.String(); strings.Contains(text, key) || strings.Contains(text, string(wanted.Credentials.ClientSecret)) {
		t.Errorf("a secret is shown:\n%s", text)
	}
	_, _ = runForDevelopment(t, bin, dir, database)
	if again := inShell(t, bin, dir, `echo "$KEY"`); again != key {
		t.Error("a second start made another key")
	}
}

func TestAdmitReplacesAKeyThatDoesNotWork(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	file := write(t, "pgpd_of-another-database\n")
	admit := func(name string) admissionView {
		return decode[admissionView](t, must(t, environ, "tenant", "admit", "--name", name, "--key-file", file, "-o", "json"))
	}
	first := admit("Development")
	if kept := admit("Development"); !first.Made || kept.Made || kept.Tenant != first.Tenant {
		t.Errorf("first %+v, then %+v", first, kept)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if anew := admit("Development"); !anew.Made || anew.Tenant != first.Tenant {
		t.Errorf("without the file: %+v, not another key of %s", anew, first.Tenant)
	}
	must(t, environ, "tenant", "suspend", first.Tenant)
	if _, err := invoke(t, environ, "tenant", "admit", "--name", "Development", "--key-file", file); err == nil || !strings.Contains(err.Error(), "suspended") {
		t.Errorf("a suspended tenant: %v", err)
	}
}
