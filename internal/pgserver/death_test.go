package pgserver

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The tests below need a process that owns a server and dies. It is this test program again, told so by environment.
const (
	envHolder    = "PGSERVER_TEST_HOLDER"     // set: be the holder
	envHolderDir = "PGSERVER_TEST_HOLDER_DIR" // its Options.Dir
)

func TestMain(m *testing.M) {
	if os.Getenv(envHolder) != "" {
		os.Exit(hold())
	}
	os.Exit(m.Run())
}

// hold starts a server, prints its address and data directory, and waits for SIGINT. Then it uses the database once
// more, to show that the signal has not reached the server by itself, and stops it.
func hold() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT)
	s, err := Start(context.Background(), Options{Dir: os.Getenv(envHolderDir)})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	var data string
	ask := func(text string, into *string) error {
		return withConnection(s.URL(), func(db *sql.DB) error { return db.QueryRow(text).Scan(into) })
	}
	if err := ask("show data_directory", &data); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(s.URL())
	fmt.Println(data)
	<-signals
	var up string
	if err := errors.Join(ask("select 'still up'", &up), s.Stop()); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(up)
	return 0
}

// holder is the other process.
type holder struct {
	cmd       *exec.Cmd
	out       *bufio.Reader
	url, data string
}

func startHolder(t *testing.T, program, dir string, as *syscall.Credential) holder {
	t.Helper()
	h := holder{cmd: exec.Command(program)}
	h.cmd.Dir = "/"
	h.cmd.Env = append(os.Environ(), envHolder+"=1", envHolderDir+"="+dir)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	h.cmd.Stderr = os.Stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill() })
	h.out = bufio.NewReader(out)
	h.url, h.data = h.line(t), h.line(t)
	if strings.HasPrefix(h.url, "error:") {
		t.Fatal(h.url, h.data)
	}
	return h
}

func (h holder) line(t *testing.T) string {
	t.Helper()
	line, err := h.out.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// kill9 ends the holder the hard way and waits until it is gone.
func (h holder) kill9(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait() // reports the signal
}

func serverPID(t *testing.T, data string) int {
	t.Helper()
	pid := cluster{root: filepath.Dir(data)}.serverPID()
	if pid == 0 {
		t.Fatalf("no server in %s", data)
	}
	return pid
}

// eventually looks again and again, at things that send no word when they change; the test's deadline ends it.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fastShutdownLimit)
	defer cancel()
	for !done() {
		if pause(ctx) != nil {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestServerEndsWithKilledHolder(t *testing.T) {
	t.Parallel()
	h := startHolder(t, os.Args[0], "", nil)
	pid := serverPID(t, h.data)
	h.kill9(t)
	eventually(t, "end of the server", func() bool { return gone(pid) })
	eventually(t, "removal of the temporary data", func() bool {
		_, err := os.Stat(filepath.Dir(h.data))
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestInterruptOfTheGroupSparesTheServer(t *testing.T) {
	t.Parallel()
	h := startHolder(t, os.Args[0], "", nil)
	pid := serverPID(t, h.data)
	if err := syscall.Kill(-h.cmd.Process.Pid, syscall.SIGINT); err != nil { // what the terminal does at Ctrl-C
		t.Fatal(err)
	}
	if got := h.line(t); got != "still up" {
		t.Errorf("after the interrupt: %q", got)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !gone(pid) {
		t.Error("the server outlives its holder")
	}
}

func TestDataSurvivesKill(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		killServer bool
	}{{"of the holder", false}, {"of the server and the holder", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(openDirectory(t), "pg")
			h := startHolder(t, os.Args[0], dir, nil)
			createMarker(t, h.url)
			pid := serverPID(t, h.data)
			if test.killServer {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			h.kill9(t)
			again := mustStart(t, Options{Dir: dir, Database: DefaultDatabase})
			if got := query(t, again.URL(), "select note from marker"); got != "kept" {
				t.Errorf("marker: %q", got)
			}
			if serverPID(t, h.data) == pid {
				t.Error("the old server still runs")
			}
		})
	}
}

func TestDoneTellsOfACrash(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{})
	pid, err := strconv.Atoi(query(t, s.URL(), "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-t.Context().Done():
		t.Fatal("Done was not closed")
	}
}
