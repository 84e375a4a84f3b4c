package defender_test

import (
	"database/sql"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// shortly is how long a check may take here: less than any wait for the database.
const shortly = 600 * time.Millisecond

// TestATimeThatEndsAtTheCountSaysNothingOfMicrosoft has the time of a check end while its first call waits to be counted: for one of
// the connections, and for reaching the database.
func TestATimeThatEndsAtTheCountSaysNothingOfMicrosoft(t *testing.T) {
	t.Parallel()
	for name, occupy := range map[string]func(*testing.T, string) *postgres.Store{"for a connection": allInUse, "for the database": unreachable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := occupy(t, postgrestest.URL(t))
			began := time.Now()
			checks := countedBy(t, store).Check(t.Context(), connector.Probe{Assets: true, Vulnerabilities: true})
			if c := checks[0]; c.Name != connector.CheckToken || c.Code != fault.CodeUnavailable || c.OK {
				t.Errorf("after %v: %+v", time.Since(began), c)
			}
		})
	}
}

// countedBy is a source whose calls a store counts.
func countedBy(t *testing.T, store *postgres.Store) connector.Source {
	t.Helper()
	spec := defendersim.DirectorySpec{ID: simDirectory, Machines: 5, Apps: []defendersim.App{{ClientID: simClient, Secret: simSecret, SecretExpiresAt: time.Now().Add(time.Hour)}}}
	srv := httptest.NewServer(defendersim.New(defendersim.Config{Directory: &spec, CatalogueSize: 100}).Handler())
	t.Cleanup(srv.Close)
	c, err := defender.New(defender.Config{
		LoginURL: srv.URL, APIURL: srv.URL, AllowInsecure: true, Budget: defender.NewSharedBudget(store), Timeouts: defender.Timeouts{Check: shortly},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Open(connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Secret: seal.NewSecret(simSecret)})
}

// takeOne has a store count a call of an application of its own.
func takeOne(t *testing.T, store *postgres.Store) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		rate := connector.CallRate{Every: time.Second, Burst: 1}
		_, _ = store.TakeCall(t.Context(), connector.CallRequest{ // in vain, at its end
			CallKey: connector.CallKey{Application: uuid.NewString(), Directory: uuid.NewString(), Family: "token"}, Minute: rate, Hour: rate, MostRepeats: 1, ProbeLease: time.Second,
		})
	}()
	t.Cleanup(func() { <-done })
}

// allInUse is a store whose only connection waits for a lock.
func allInUse(t *testing.T, dsn string) *postgres.Store {
	t.Helper()
	owner, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	lock, err := owner.Begin()
	if err == nil {
		_, err = lock.Exec(`lock table upstream_quota in access exclusive mode`)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := postgres.ForRequests()
	o.MaxConns, o.WaitFor = 1, time.Minute
	store := postgrestest.Open(t, dsn, o)
	takeOne(t, store)
	t.Cleanup(func() { _ = lock.Rollback() })
	for waits, began := 0, time.Now(); waits == 0; {
		if err := owner.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waits); err != nil || time.Since(began) > 30*time.Second {
			t.Fatalf("nobody waits: %v", err)
		}
	}
	return store
}

// unreachable is a store whose one connection is frozen, and whoever wants another one reaches nothing that answers.
func unreachable(t *testing.T, dsn string) *postgres.Store {
	t.Helper()
	line := postgrestest.NewLine(t, dsn, "upstream_take(")
	store := postgrestest.Open(t, line.URL(), postgres.ForRequests())
	takeOne(t, store)
	<-line.Held()
	line.Freeze()
	return store
}
