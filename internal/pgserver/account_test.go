package pgserver

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can lend another account")
	}
}

func TestRootLendsAnAccount(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := filepath.Join(openDirectory(t), "pg")
	s := mustStart(t, Options{Dir: dir})
	owner, ok := ownerOf(filepath.Join(dir, dataName))
	if !ok || owner.Uid == 0 {
		t.Fatalf("data belongs to %+v", owner)
	}
	if got := query(t, s.URL(), "select (pg_stat_file('PG_VERSION')).size > 0"); got != "true" {
		t.Error("the server cannot read its data")
	}
	if a := chooseAccount(t.Context(), dir); a.credential.Uid != owner.Uid {
		t.Errorf("existing data of uid %d would be served as %s", owner.Uid, a.name)
	}
}

func TestClosedDirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	needRoot(t)
	closed := filepath.Join(openDirectory(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	m := thisMachine()
	m.stateDir = filepath.Join(openDirectory(t), "state")
	m.tempDirs = []string{closed, m.tempDirs[1]}
	for _, dir := range []string{filepath.Join(closed, "demo", "pg"), ""} {
		s, err := m.start(t.Context(), Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		data := query(t, s.URL(), "show data_directory")
		if strings.HasPrefix(data, closed) {
			t.Errorf("data is in %s", data)
		}
		if dir != "" && (!strings.HasPrefix(data, m.stateDir) || !strings.Contains(s.Source(), m.stateDir) || !strings.Contains(s.Source(), "closed")) {
			t.Errorf("data in %s, announced as: %s", data, s.Source())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(closed, "demo")); err == nil {
		t.Error("the closed directory was written to")
	}
}

func TestUnreachableProgramsAreNotUsed(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root := openDirectory(t)
	hidden := filepath.Join(root, "hidden")
	install(t, filepath.Join(hidden, "bin"), "18.1")
	install(t, filepath.Join(root, "open"), "16.1")
	if err := os.Chmod(hidden, 0o700); err != nil {
		t.Fatal(err)
	}
	m := machine{patterns: []string{filepath.Join(hidden, "bin"), filepath.Join(root, "open")}}
	got, err := m.find(t.Context(), chooseAccount(t.Context(), ""), 0)
	if err != nil || got.major != 16 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	dir := openDirectory(t)
	victim := filepath.Join(openDirectory(t), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockName, logName, passwordName, portName} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := (cluster{root: dir}).write(name, "overwritten"); err == nil {
			t.Errorf("%s was written through a link", name)
		}
	}
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("victim: %s", text)
	}
}

// TestOrdinaryUser runs everything as an account without rights, when the tests themselves run as root.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	nobody, ok := lookUp("nobody")
	if !ok {
		t.Skip("no account nobody")
	}
	home := openDirectory(t)
	program := filepath.Join(home, "holder.test")
	copyProgram(t, os.Args[0], program)
	dir := filepath.Join(home, "mine")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := nobody.give(dir); err != nil {
		t.Fatal(err)
	}
	h := startHolder(t, program, filepath.Join(dir, "pg"), nobody.credential)
	if owner, ok := ownerOf(h.data); !ok || owner.Uid != nobody.credential.Uid {
		t.Errorf("data belongs to %+v", owner)
	}
	if err := h.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := h.line(t); got != "still up" {
		t.Error(got)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// copyProgram makes a program that can be started at once: a process started meanwhile would inherit the open file, and a
// program that somebody has open for writing cannot run.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
