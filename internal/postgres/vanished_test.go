package postgres_test

import (
	"strconv"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestTheServerGivesUpAVanishedHost asks the server's own socket, which is where it reads these settings from, how long it waits
// for a client that does not answer: about a minute, so that what a session has locked is free again soon.
func TestTheServerGivesUpAVanishedHost(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.URL(t)
	for _, options := range []postgres.Options{postgres.ForRequests(), postgres.ForWork()} {
		db := postgrestest.Open(t, dsn, options).DB()
		seconds := map[string]int{}
		for _, setting := range []string{"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"} {
			var text string
			if err := db.QueryRow(`select setting from pg_settings where name = $1`, setting).Scan(&text); err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			seconds[setting] = n
		}
		silent := seconds["tcp_keepalives_idle"] + seconds["tcp_keepalives_count"]*seconds["tcp_keepalives_interval"]
		unread := seconds["tcp_user_timeout"] / 1000
		if silent < 20 || silent > 70 || unread < 20 || unread > 70 {
			t.Errorf("%s: given up after %d s of silence, or %d s without an acknowledgement", options.ApplicationName, silent, unread)
		}
	}
}
