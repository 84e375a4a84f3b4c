//go:build soak

package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestFrozenInTheCopy stops the service by signal while it copies a tenant's first findings. Another process ends that import's
// session and imports; when the first one goes on it changes nothing, and both work.
func TestFrozenInTheCopy(t *testing.T) {
	s := newVictim(t)
	direct := s.env
	line := postgrestest.NewLine(t, s.dsn, "copy finding_t")
	s.env = append(slices.Clone(direct), "DEFENDERD_DATABASE_URL="+line.URL())
	s.begin()
	select {
	case <-line.Held(): // so that it is stopped in the middle
	case <-time.After(killPatience):
		t.Fatal("nothing was copied")
	}
	frozen := *s
	frozen.signal(syscall.SIGSTOP)
	t.Cleanup(frozen.kill)
	line.Mend()

	s.moveTo(direct)
	s.start()
	s.awaitIdle()
	s.mustEqualTruth()
	frozen.signal(syscall.SIGCONT)
	frozen.until("the stopped process answers again", func() bool { _, err := frozen.api.GetTenant(t.Context()); return err == nil })
	s.requestRun()
	s.awaitIdle()
	s.mustEqualTruth()
	s.mustBeTidy()
	frozen.stop()
	s.stop()
}

func (s *victim) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// moveTo lets the next process listen at another address.
func (s *victim) moveTo(env []string) {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	tenant := "tnt_" + strings.ReplaceAll(texts(s.t, db, `select public_id::text from tenant`)[0], "-", "")
	address := freeAddress(s.t)
	s.env, s.url = append(slices.Clone(env), "DEFENDERD_LISTEN="+address), "http://"+address
	s.api = api.New(s.url, field(s.command("api-key", "create", "--tenant", tenant, "--name", "moved", "--role", "admin", "--expires", "1d"), "pgpd_"))
}
