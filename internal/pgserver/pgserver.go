// Package pgserver finds or starts a PostgreSQL for development and tests.
//
// It is not meant for production: there the database is somebody's own, and the service is given its address.
package pgserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/lib/pq"
)

// EnvURL is the environment variable that names an existing database by convention. This package does not read it:
// callers pass its value in Options.URL, so that a test can decide otherwise.
const EnvURL = "DATABASE_URL"

// DefaultDatabase is the database created in a started server when Options.Database is empty.
const DefaultDatabase = "defender"

// Options says what database the caller wants.
type Options struct {
	// URL is a database to use as it is; nothing is started and nothing is stopped. If it does not answer Start
	// fails: falling back to another database would surprise whoever set it.
	URL string
	// Dir keeps the data from one start to the next. Empty means a temporary server: it runs without fsync and its
	// data is removed when it stops, even if this process is killed.
	Dir string
	// Database is created in a started server if it is not there. It is ignored together with URL.
	Database string
	// Settings are server settings such as "shared_buffers=1GB" for a started server, over those it would have. They are
	// ignored together with URL.
	Settings []string
	// Announce receives one line that says which database is used. Nil discards it.
	Announce io.Writer
}

// Server is a database that answers. It is safe for concurrent use.
type Server struct {
	url     string
	source  string
	process *process
	release func()
}

// Start returns a database that accepts connections: Options.URL when given, else a server started from the newest
// usable PostgreSQL programs on this machine. A started server listens on a free port of 127.0.0.1 only, and its user
// is a superuser with a random password. Stop it; if the process dies first the server shuts itself down.
//
// When the machine has no PostgreSQL the error lists the ways out.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.URL != "" {
		return attach(ctx, opts)
	}
	return thisMachine().start(ctx, opts)
}

// URL returns the connection string, password included: do not log it.
func (s *Server) URL() string { return s.url }

// Source says in one line, without the password, where the database comes from.
func (s *Server) Source() string { return s.source }

// Done is closed when a started server has ended, whatever the reason. For a database given by URL it is nil and
// blocks forever.
func (s *Server) Done() <-chan struct{} {
	if s.process == nil {
		return nil
	}
	return s.process.done
}

// Stop shuts a started server down: open sessions are cut, data is safe. It waits for the end, may be called more than
// once, and does nothing to a database given by URL.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.stop()
	s.release()
	return err
}

func attach(ctx context.Context, opts Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	address := describeURL(opts.URL)
	if err := ping(ctx, opts.URL); err != nil {
		return nil, fmt.Errorf("the database given by %s (%s) does not answer: %w; start it, correct the address, "+
			"or unset %s to have a server started", EnvURL, address, err, EnvURL)
	}
	s := &Server{url: opts.URL, source: fmt.Sprintf("database: the one given by %s (%s)", EnvURL, address)}
	announce(opts.Announce, s.source)
	return s, nil
}

// describeURL names a database by host and name only. Connection strings in key=value form are not taken apart: a
// wrong guess could print a password.
func describeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "address not shown"
	}
	return u.Host + u.Path
}

func announce(w io.Writer, line string) {
	if w != nil {
		fmt.Fprintln(w, line)
	}
}

func ping(ctx context.Context, dsn string) error {
	return withConnection(dsn, func(db *sql.DB) error { return db.PingContext(ctx) })
}

// createDatabase makes sure the named database exists. CREATE DATABASE has no IF NOT EXISTS.
func createDatabase(ctx context.Context, dsn, name string) error {
	return withConnection(dsn, func(db *sql.DB) error {
		var exists bool
		if err := db.QueryRowContext(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
			return err
		}
		if exists {
			return nil
		}
		_, err := db.ExecContext(ctx, "create database "+pq.QuoteIdentifier(name))
		return err
	})
}

func withConnection(dsn string, use func(*sql.DB) error) error {
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		// The parser's own message can repeat the connection string, and with it the password.
		return errors.New("the connection string cannot be read")
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return use(db)
}
