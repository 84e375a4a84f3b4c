//go:build soak

package httpapi_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgp.internal/defender/internal/pgserver"
)

// TestAStoppedDatabase stops every process of a PostgreSQL of its own by signal, and lets them go on.
func TestAStoppedDatabase(t *testing.T) {
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	t.Setenv("DATABASE_URL", server.URL())
	h := newHouse(t)
	i := h.connect(h.mine)
	db, err := sql.Open("postgres", server.URL())
	must(t, err)
	defer func() { _ = db.Close() }()
	var data string
	must(t, db.QueryRow(`show data_directory`).Scan(&data))
	admin := operatorOf(t, h.store, h)
	for round := range 3 {
		signalAll(t, data, syscall.SIGSTOP)
		var frozen []raw
		for range 8 {
			frozen = append(frozen, needing(h, i.ID)...)
		}
		h.mustBeUnavailable(frozen, 5*time.Second)
		h.mustAnswerAlone(100*time.Millisecond, admin)
		signalAll(t, data, syscall.SIGCONT)
		began := time.Now()
		h.mustHeal(5 * time.Second)
		t.Logf("round %d: healed after %v", round+1, time.Since(began))
	}
}

// signalAll signals the server and its children.
func signalAll(t *testing.T, data string, s syscall.Signal) {
	t.Helper()
	file, err := os.Open(filepath.Join(data, "postmaster.pid"))
	must(t, err)
	defer func() { _ = file.Close() }()
	line, err := bufio.NewReader(file).ReadString('\n')
	must(t, err)
	first, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
	must(t, err)
	pids := []int{first}
	for _, text := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(text)
		must(t, err)
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && err != syscall.ESRCH { //nolint:errorlint // it is the number itself
			t.Fatalf("signal %d: %v", pid, err)
		}
	}
}
