package postgres

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// ioGrace is how much longer than the statement limit a single read or write on a database connection may take. lib/pq
// sends a cancel request on a second connection when a context ends but keeps waiting on the first one, so without a
// deadline of its own a black-holed database would hold callers for ever.
const ioGrace = 500 * time.Millisecond

// openWithin bounds reaching the database and signing in.
const openWithin = 3 * time.Second

func newConnector(dsn string, o Options) (driver.Connector, error) {
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be read: %w", err)
	}
	cfg.BinaryParameters = true // one round trip for a statement with arguments instead of two
	if cfg.Runtime == nil {
		cfg.Runtime = map[string]string{}
	}
	for name, value := range sessionSettings(o) {
		cfg.Runtime[name] = value
	}
	c, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be used: %w", err)
	}
	c.Dialer(deadlineDialer{limit: o.StatementTimeout + ioGrace, bounded: o.WaitFor > 0})
	return sessions{c, o.WaitFor > 0}, nil
}

// sessionSettings are sent with the start-up packet of each connection, so they cost no round trip and no pooled
// connection can miss them.
func sessionSettings(o Options) map[string]string {
	settings := clientSettings()
	maps.Copy(settings, map[string]string{
		"role":                                appRole,
		"timezone":                            "UTC",
		"application_name":                    o.ApplicationName,
		"statement_timeout":                   fmt.Sprint(o.StatementTimeout.Milliseconds()),
		"lock_timeout":                        fmt.Sprint(o.LockTimeout.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(o.StatementTimeout.Milliseconds()),
		"jit":                                 "off", // compiling takes longer than any page
	})
	if o.Serial {
		settings["max_parallel_workers_per_gather"] = "0"
	}
	return settings
}

// ownerSettings are those of migrations, whatever the server's or the role's are. A lock is waited for by [patience].
func ownerSettings() map[string]string {
	settings := clientSettings()
	maps.Copy(settings, map[string]string{
		"application_name":                    "defenderd migrate",
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",     // by which processes would not wait for each other's migrations
		"idle_in_transaction_session_timeout": "60000", // in milliseconds
	})
	return settings
}

// clientSettings have the server give up a client that it cannot reach: after 20 seconds of silence it asks three times, 10 seconds
// apart, and what it has sent may stay unacknowledged for as long. It ignores these settings for connections by a Unix-domain socket,
// whose clients it cannot lose sight of (PostgreSQL's page "Connections and Authentication").
func clientSettings() map[string]string {
	return map[string]string{
		"tcp_keepalives_idle":              "20",
		"tcp_keepalives_interval":          "10",
		"tcp_keepalives_count":             "3",
		"tcp_user_timeout":                 "50000", // in milliseconds
		"client_connection_check_interval": "10000", // in milliseconds: a statement ends soon after a process that was killed
	}
}

// deadlineDialer makes connections whose every read and write has a deadline.
type deadlineDialer struct {
	limit   time.Duration
	bounded bool // reaching the database is given up before the context of who wants it ends, as statements are
}

func (d deadlineDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d deadlineDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d deadlineDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	within := openWithin
	if until, ok := ctx.Deadline(); ok && d.bounded {
		within = min(within, time.Until(until)-giveUpBefore)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	bounded := &deadlineConn{Conn: c, limit: d.limit}
	until, _ := ctx.Deadline()
	bounded.bound(until) // of signing in, too
	if holder, ok := ctx.Value(dialedKey{}).(**deadlineConn); ok {
		*holder = bounded
	}
	return bounded, nil
}

// dialedKey is where a context holds the place for the connection that is dialled under it.
type dialedKey struct{}

type deadlineConn struct {
	net.Conn
	limit time.Duration
	until atomic.Int64 // in nanoseconds since 1970, by which everything has to be done; 0 for no such time

	broken atomic.Bool   // a read or write has failed
	ahead  *bufio.Reader // of what came; nil before the first read
}

// readAhead is how much of an answer is taken from the connection at once. The driver takes 4 KiB, so that a page of assets cost it a dozen system
// calls with a deadline each.
const readAhead = 32 << 10

// lostConnection is an error of the driver after the connection had failed below it: the driver hides that from errors.As.
type lostConnection struct{ error }

func (l lostConnection) Unwrap() error { return l.error }

// blame says of an error that the connection was lost, if it was. What database/sql tries again by itself is left to it.
func (c *deadlineConn) blame(err error) error {
	if err == nil || c == nil || !c.broken.Load() || errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return lostConnection{err}
}

func (c *deadlineConn) bound(until time.Time) {
	if until.IsZero() {
		c.until.Store(0)
		return
	}
	c.until.Store(until.UnixNano())
}

func (c *deadlineConn) deadline() time.Time {
	at := time.Now().Add(c.limit)
	if until := c.until.Load(); until != 0 && until < at.UnixNano() {
		at = time.Unix(0, until)
	}
	return at
}

// Read gives what has been received, and waits only if that is nothing.
func (c *deadlineConn) Read(p []byte) (n int, err error) {
	if c.ahead == nil {
		c.ahead = bufio.NewReaderSize(receiver{c}, readAhead)
	}
	return c.ahead.Read(p)
}

// receiver is the connection below the buffer.
type receiver struct{ *deadlineConn }

func (r receiver) Read(p []byte) (n int, err error) {
	if err = r.SetReadDeadline(r.deadline()); err == nil {
		n, err = r.Conn.Read(p)
	}
	return n, r.note(err)
}

func (c *deadlineConn) Write(p []byte) (n int, err error) {
	if err = c.SetWriteDeadline(c.deadline()); err == nil {
		n, err = c.Conn.Write(p)
	}
	return n, c.note(err)
}

func (c *deadlineConn) note(err error) error {
	if err != nil {
		c.broken.Store(true)
	}
	return err
}
