package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"pgp.internal/defender/internal/pgserver"
)

const envBeDevdb = "DEVDB_TEST_BE_DEVDB"

// TestMain lets this test program be devdb, so that signals and exit statuses are the real ones.
func TestMain(m *testing.M) {
	if os.Getenv(envBeDevdb) != "" {
		main()
	}
	os.Exit(m.Run())
}

func devdb(dbURL string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), envBeDevdb+"=1", pgserver.EnvURL+"="+dbURL)
	return cmd
}

func status(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	tests := []struct {
		name   string
		url    string
		args   []string
		want   int
		output string
	}{
		{"success", server.URL(), []string{"run", "--", "true"}, 0, ""},
		{"the program's own", server.URL(), []string{"run", "--", "sh", "-c", "exit 7"}, 7, ""},
		{"arguments are kept apart", server.URL(), []string{"run", "sh", "-c", `echo "[$1]"`, "sh", "a b"}, 0, "[a b]"},
		{"death by signal", server.URL(), []string{"run", "--", "sh", "-c", "kill -KILL $$"}, 137, ""},
		{"no such program", server.URL(), []string{"run", "--", "/nonexistent"}, exitNotStart, "no such file"},
		{"no program", server.URL(), []string{"run"}, exitUsage, "usage:"},
		{"no command", server.URL(), nil, exitUsage, "usage:"},
		{"unknown flag", server.URL(), []string{"run", "-x"}, exitUsage, "usage:"},
		{"the address is passed on", server.URL(), []string{"run", "--", "sh", "-c", "echo $DATABASE_URL"}, 0, server.URL()},
		{"find", server.URL(), []string{"find"}, 0, "/"},
		{"find takes no arguments", server.URL(), []string{"find", "x"}, exitUsage, "usage:"},
		{"database away", "postgres://u:secret@127.0.0.1:1/x?sslmode=disable", []string{"run", "--", "echo", "ran"}, exitOwnFault, "does not answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := devdb(test.url, test.args...).CombinedOutput()
			if got := status(t, err); got != test.want {
				t.Errorf("status %d, want %d: %s", got, test.want, out)
			}
			if !strings.Contains(string(out), test.output) {
				t.Errorf("output %s", out)
			}
		})
	}
}

func TestServerLivesAsLongAsTheProgram(t *testing.T) {
	t.Parallel()
	cmd := devdb("", "run", "--", "sh", "-c", `trap 'echo asked to end; exit 9' TERM; echo "$DATABASE_URL"; while :; do sleep 0.05; done`)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal(stderr.String())
	}
	url := lines.Text()
	guest, err := pgserver.Start(t.Context(), pgserver.Options{URL: url})
	if err != nil {
		t.Fatalf("while the program runs: %v", err)
	}
	if err := guest.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	lines.Scan()
	if got := status(t, cmd.Wait()); got != 9 || lines.Text() != "asked to end" {
		t.Errorf("status %d, output %q", got, lines.Text())
	}
	if _, err := pgserver.Start(t.Context(), pgserver.Options{URL: url}); err == nil {
		t.Error("the server outlives the program")
	}
	if strings.Count(stderr.String(), "database:") != 1 {
		t.Errorf("want one line about the database, got %q", stderr.String())
	}
}
