package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
)

// TestALostConnectionIsToldAsUnavailable hides the reason as the driver does.
func TestALostConnectionIsToldAsUnavailable(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	c := &deadlineConn{Conn: near, limit: time.Minute}
	hidden := errors.New("write: broken pipe")
	if err := classify(t.Context(), c.blame(hidden)); fault.Is(err, fault.CodeUnavailable) {
		t.Error("blamed on a connection that works")
	}
	_ = far.Close()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Fatal("written to nobody")
	}
	if err := classify(t.Context(), c.blame(hidden)); !fault.Is(err, fault.CodeUnavailable) || !errors.Is(err, hidden) {
		t.Errorf("told as %v", err)
	}
	if err := c.blame(driver.ErrBadConn); err != driver.ErrBadConn { //nolint:errorlint // database/sql has to know it
		t.Errorf("what is tried again is told as %v", err)
	}
	if (&session{wire: c}).IsValid() {
		t.Error("a lost connection may be used again")
	}
}

// TestReadingEndsBeforeTheContext reads from somebody who says nothing.
func TestReadingEndsBeforeTheContext(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	c := &deadlineConn{Conn: near, limit: time.Minute}
	ctx, cancel := context.WithTimeout(t.Context(), giveUpBefore+50*time.Millisecond)
	defer cancel()
	(&session{wire: c, bounded: true}).bound(ctx)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("ended with %v, the context with %v", err, ctx.Err())
	}
	near, far = net.Pipe()
	defer func() { _ = far.Close() }()
	c = &deadlineConn{Conn: near, limit: 50 * time.Millisecond}
	(&session{wire: c}).bound(ctx)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || c.until.Load() != 0 {
		t.Errorf("without a bound: %v, until %d", err, c.until.Load())
	}
}

// leaving is a connection that says goodbye on the wire.
type leaving struct {
	connection
	wire net.Conn
}

func (l leaving) Close() error {
	_, err := l.wire.Write([]byte("X"))
	return err
}

// TestTakingLeaveHasATimeOfItsOwn closes a connection whose last statement's time is long over.
func TestTakingLeaveHasATimeOfItsOwn(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	go func() { _, _ = far.Read(make([]byte, 1)) }() // ends with the pipe
	c := &deadlineConn{Conn: near, limit: time.Minute}
	c.bound(time.Now().Add(-time.Hour))
	if err := (&session{connection: leaving{wire: c}, wire: c}).Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func TestWaitingForAConnectionIsBounded(t *testing.T) {
	t.Parallel()
	p := newPlaces(Options{MaxConns: 1, WaitFor: 20 * time.Millisecond})
	leave, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.take(t.Context()); !fault.Is(err, fault.CodeUnavailable) {
		t.Errorf("no place: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.take(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	leave()
	if _, err := p.take(t.Context()); err != nil {
		t.Errorf("a free place: %v", err)
	}
}
