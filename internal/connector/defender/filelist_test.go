package defender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/pagelog"
)

// TestAllFilesOfALongListAreRead holds that no address is left out: its rows would count as gone.
func TestAllFilesOfALongListAreRead(t *testing.T) {
	t.Parallel()
	var names []string
	for n := range 300 {
		names = append(names, fmt.Sprintf("f%d", n))
	}
	rows, used, err := newDepot(t, names...).read(t, t.TempDir())
	if err != nil || len(rows) != 300 || used.Files != 300 || used.Lost != 0 {
		t.Errorf("rows of %d files, %v, %+v", len(rows), err, used)
	}
}

// TestAnAnswerWithoutAListOfFilesIsNoEmptyReport answers the question for files in other forms. Of an empty list pages have to tell what it means.
func TestAnAnswerWithoutAListOfFilesIsNoEmptyReport(t *testing.T) {
	t.Parallel()
	for text, closed := range map[string]bool{
		`{}`: false, `{"exportFiles":null}`: false, `{"exportFiles":{}}`: false, `{"exportFiles":[7]}`: false, `{"exportFiles":[""]}`: false,
		`{"exportFiles":[]} x`: false, `[]`: false, `{"exportFiles":[]}`: true,
	} {
		u := newUpstream(t)
		u.onAPI = page(text)
		err := u.open().Rows(t.Context(), connector.ViaFiles, func([]inventory.Row) error { return nil })
		if err == nil || errors.Is(err, connector.ErrWayClosed) != closed {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// attempt reads the files with the log in root, and hands each batch to take.
func (d *depot) attempt(ctx context.Context, t *testing.T, root string, take func() error) (connector.Usage, error) {
	t.Helper()
	l, err := pagelog.Open(root, "int_1", "run", time.Time{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // of a test
	s := d.open()
	s.KeepPages(l)
	err = s.Rows(ctx, connector.ViaFiles, func([]inventory.Row) error { return take() })
	return s.Usage(), err
}

// TestAReplayThatBreaksOffForgetsNothing ends an attempt while it goes through what was kept: nothing of that is damaged.
func TestAReplayThatBreaksOffForgetsNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(cancel context.CancelFunc) error{
		"it is stopped":           func(cancel context.CancelFunc) error { cancel(); return nil },
		"its rows are not stored": func(context.CancelFunc) error { return errors.New("the database is away") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, root := newDepot(t, "a", "b", "c", "d", "e", "f", "g", "h"), t.TempDir()
			none := func() error { return nil }
			if used, err := d.attempt(t.Context(), t, root, none); err != nil || used.Pages != 8 {
				t.Fatalf("%v, %+v", err, used)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if _, err := d.attempt(ctx, t, root, func() error { return end(cancel) }); err == nil {
				t.Fatal("the attempt came to its end")
			}
			if used, err := d.attempt(t.Context(), t, root, none); err != nil || used.Resumed != 8 {
				t.Errorf("of eight files %d are kept, %v", used.Resumed, err)
			}
		})
	}
}

// fullLog keeps nothing.
type fullLog struct{ connector.PageLog }

type fullPage struct{ io.Writer }

var errFull = errors.New("no space left on device")

func (fullLog) Replay(connector.PageList, func(connector.KeptPage) (bool, error)) error { return nil }
func (fullLog) Begin(connector.PageList) (connector.PageBody, error) {
	return fullPage{io.Discard}, nil
}
func (fullPage) Again()                    {}
func (fullPage) Discard()                  {}
func (fullPage) Keep(string, string) error { return errFull }

// TestFilesAreReadBesideALogThatFails reads several at a time, none of which can be kept.
func TestFilesAreReadBesideALogThatFails(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "a", "b", "c", "d", "e", "f", "g", "h")
	s := d.open()
	s.KeepPages(fullLog{})
	rows := 0
	err := s.Rows(t.Context(), connector.ViaFiles, func(batch []inventory.Row) error { rows += len(batch); return nil })
	if err != nil || rows != 800 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// TestATokenThatTakesTooLongIsATimeOut uses all the time that a request for a token has up by waiting between two tries.
func TestATokenThatTakesTooLongIsATimeOut(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = plain(503, "")
	s := u.open(func(c *Config) {
		c.Timeouts.Token, c.Retry.MaxRetryAfter, c.Retry.Base = 50*time.Millisecond, 50*time.Millisecond, time.Millisecond
		c.Sleep = func(ctx context.Context, _ time.Duration) error {
			<-ctx.Done()
			return ctx.Err()
		}
	})
	err := s.Machines(t.Context(), time.Time{}, func([]inventory.Machine) error { return nil })
	if !fault.Is(err, fault.CodeUpstreamTimeout) {
		t.Errorf("%v", err)
	}
}

// TestWhoMayWriteMachinesMayReadThem has Defender refuse an application that holds the wider permission.
func TestWhoMayWriteMachinesMayReadThem(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = func(w http.ResponseWriter, _ *http.Request) {
		writeToken(w, "3599", machineReadWrite, vulnerabilityRead)
	}
	u.onAPI = on(pathMachines, refuseAPI(403, "Forbidden", ""), page(`{"value":[]}`))
	err := u.open().Machines(t.Context(), time.Time{}, func([]inventory.Machine) error { return nil })
	if !fault.Is(err, fault.CodeAccessBlocked) {
		t.Errorf("%v", err)
	}
}
