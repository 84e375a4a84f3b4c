package pgserver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "github.com/lib/pq"
)

// openDirectory is a directory that other accounts can enter, unlike t.TempDir.
func openDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustStart(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(t *testing.T, dsn, text string) string {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	if err := db.QueryRowContext(t.Context(), text).Scan(&got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return got
}

func TestTemporaryServer(t *testing.T) {
	t.Parallel()
	var line bytes.Buffer
	s := mustStart(t, Options{Announce: &line})
	for text, want := range map[string]string{
		"select current_database()":                                        DefaultDatabase,
		"select rolsuper::text from pg_roles where rolname = current_user": "true",
		"show max_connections":                                             "200",
		"show fsync":                                                       "off",
		"show listen_addresses":                                            "127.0.0.1",
		"show server_encoding":                                             "UTF8",
		"select datcollate from pg_database where datname = current_database()": "C",
		"select string_agg(distinct auth_method, ',') from pg_hba_file_rules":   "scram-sha-256",
	} {
		if got := query(t, s.URL(), text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	data := query(t, s.URL(), "show data_directory")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary directory is still there after Stop: %v", err)
	}
	if strings.Count(line.String(), "\n") != 1 || !strings.Contains(line.String(), "127.0.0.1:") {
		t.Errorf("want one line with the address, got %q", line.String())
	}
	if err := s.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestPasswordIsNeeded(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{})
	_, afterAt, _ := strings.Cut(s.URL(), "@")
	err := ping(t.Context(), "postgres://postgres:wrong@"+afterAt)
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("wrong password: got %v", err)
	}
}

func TestDataIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDirectory(t), "a b", "pg") // with a space, and directories to create
	first := mustStart(t, Options{Dir: dir, Database: "shop"})
	createMarker(t, first.URL())
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := mustStart(t, Options{Dir: dir, Database: "shop"})
	if got := query(t, second.URL(), "select note from marker"); got != "kept" {
		t.Errorf("marker: got %q", got)
	}
	if got := query(t, second.URL(), "show fsync"); got != "on" {
		t.Errorf("fsync of kept data: got %q", got)
	}
	if first.URL() != second.URL() {
		t.Errorf("the address changed without need")
	}
}

func createMarker(t *testing.T, dsn string) {
	t.Helper()
	err := withConnection(dsn, func(db *sql.DB) error {
		_, err := db.ExecContext(t.Context(), "create table marker (note text); insert into marker values ('kept')")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSettingsOfTheCallerWin(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{Settings: []string{"fsync=on", "work_mem=7MB"}})
	for name, want := range map[string]string{"fsync": "on", "work_mem": "7MB", "full_page_writes": "off"} {
		if got := query(t, s.URL(), "show "+name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDirectory(t), "pg")
	s := mustStart(t, Options{Dir: dir})
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Fatalf("got %v", err)
	}
	if got := query(t, s.URL(), "select 'fine'"); got != "fine" {
		t.Error("the first server was disturbed")
	}
}

func TestForeignDirectoryIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := openDirectory(t)
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := ownerOf(dir)
	if _, err := Start(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "holds other files") {
		t.Fatalf("got %v", err)
	}
	if after, _ := ownerOf(dir); after.Uid != before.Uid {
		t.Error("the owner was changed")
	}
}

func TestServersSideBySide(t *testing.T) {
	t.Parallel()
	a, b := mustStart(t, Options{}), mustStart(t, Options{})
	if query(t, a.URL(), "show port") == query(t, b.URL(), "show port") {
		t.Error("two servers share a port")
	}
}

func TestOccupiedPort(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, taken, _ := net.SplitHostPort(listener.Addr().String())
	dir := filepath.Join(openDirectory(t), "pg")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{portName: taken, lockName: ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustStart(t, Options{Dir: dir})
	if got := query(t, s.URL(), "show port"); got == taken {
		t.Errorf("server claims the occupied port %s", got)
	}
}

func TestGivenURL(t *testing.T) {
	t.Parallel()
	owner := mustStart(t, Options{})
	guest, err := Start(t.Context(), Options{URL: owner.URL(), Dir: "/nonexistent"})
	if err != nil {
		t.Fatal(err)
	}
	if err := guest.Stop(); err != nil || guest.Done() != nil {
		t.Errorf("Stop: %v", err)
	}
	if got := query(t, owner.URL(), "select 'up'"); got != "up" {
		t.Error("stopping the guest stopped the database")
	}
	if strings.Contains(guest.Source(), "@") {
		t.Errorf("Source shows credentials: %s", guest.Source())
	}
}

func TestGivenURLDoesNotAnswer(t *testing.T) {
	t.Parallel()
	port, err := freePort("0")
	if err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{
		"postgres://u:hunter2@127.0.0.1:" + port + "/x?sslmode=disable",
		"host=127.0.0.1 port=" + port + " password=hunter2 sslmode=disable",
		"postgres://u:hunter2@127.0.0.1:x y/%zz",
	} {
		_, err := Start(t.Context(), Options{URL: dsn})
		if err == nil || !strings.Contains(err.Error(), EnvURL) {
			t.Errorf("%s: got %v", dsn, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the message shows the password: %v", err)
		}
	}
}

func TestStalePidFileOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDirectory(t), "pg")
	first := mustStart(t, Options{Dir: dir})
	pidFile := filepath.Join(query(t, first.URL(), "show data_directory"), "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	// As after a power cut, with the number given to an innocent process since.
	_, rest, _ := strings.Cut(string(text), "\n")
	innocent := startInnocent(t, chooseAccount(t.Context(), dir))
	if err := os.WriteFile(pidFile, []byte(innocent+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	second := mustStart(t, Options{Dir: dir})
	if got := query(t, second.URL(), "select 'up'"); got != "up" {
		t.Error("no answer")
	}
}

// startInnocent runs a process of the server's account that has nothing to do with it, and checks that it survives.
func startInnocent(t *testing.T, run account) (pid string) {
	t.Helper()
	cmd := run.command(context.Background(), "/bin/sh", "-c", "echo $$; read _")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 20)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the innocent process is gone: %v", err)
		}
		in.Close()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 { // read at end of file gives 1
			t.Errorf("the innocent process was hurt: %v", err)
		}
	})
	return strings.TrimSpace(string(line[:n]))
}
