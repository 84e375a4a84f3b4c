package pagelog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
)

var (
	start  = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	report = connector.PageList{Name: "rows", First: "https://api/rows", Snapshot: true}
	part   = connector.PageList{Name: "file-1", First: "https://blob/1", Snapshot: true, Part: true}
	fleet  = connector.PageList{Name: "machines", First: "https://api/machines"}
)

func open(t *testing.T, root, run string, at time.Time) *Log {
	t.Helper()
	l, err := Open(root, "int_1", run, time.Time{}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keep(t *testing.T, l *Log, list connector.PageList, body, next string) {
	t.Helper()
	p, err := l.Begin(list)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = p.Write([]byte("a try that broke off and was longer than the page"))
	p.Again()
	_, _ = p.Write([]byte(body))
	if err := p.Keep(next, "gzip"); err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, l *Log, list connector.PageList) (bodies []string) {
	t.Helper()
	err := l.Replay(list, func(p connector.KeptPage) (bool, error) {
		if p.Damaged {
			bodies = append(bodies, "damaged")
			return true, nil // which counts for nothing
		}
		text, err := io.ReadAll(p.Body)
		if p.Encoding != "gzip" {
			t.Errorf("encoding %q", p.Encoding)
		}
		bodies = append(bodies, string(text)+">"+p.Next)
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bodies
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

func TestAnInterruptedRunFindsItsPages(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l := open(t, root, "run", start)
	keep(t, l, report, "one", "two")
	keep(t, l, report, "second", "three")
	keep(t, l, fleet, "machines", "")
	p, err := l.Begin(report)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = p.Write([]byte("half a pa"))
	if err := l.Close(); err != nil { // the process dies
		t.Fatal(err)
	}
	l = open(t, root, "run", start.Add(time.Minute))
	expect(t, kept(t, l, report), "one>two", "second>three")
	expect(t, kept(t, l, fleet), "machines>")
	keep(t, l, report, "third", "")
	expect(t, kept(t, l, report), "one>two", "second>three", "third>")
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

func TestOnlyAnUnfinishedSnapshotServesAnotherRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		list connector.PageList
		next string
		at   time.Duration
		want []string
	}{
		"unfinished snapshot": {report, "two", time.Hour, []string{"one>two"}},
		"finished snapshot":   {report, "", time.Hour, nil},
		"part of a snapshot":  {part, "", time.Hour, []string{"one>"}},
		"list by offset":      {fleet, "two", time.Hour, nil},
		"too old":             {report, "two", MaxAge, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			l := open(t, root, "first", start)
			keep(t, l, tc.list, "one", tc.next)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, root, "second", start.Add(tc.at))
			expect(t, kept(t, l, tc.list), tc.want...)
			if len(tc.want) == 0 {
				return
			}
			keep(t, l, tc.list, "two", "")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			expect(t, kept(t, open(t, root, "second", start.Add(tc.at)), tc.list), "one>"+tc.next, "two>")
		})
	}
}

func TestAnotherFirstPageIsAnotherList(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), "run", start)
	keep(t, l, report, "one", "two")
	other := report
	other.First += "?pageSize=7"
	expect(t, kept(t, l, other))
	keep(t, l, other, "uno", "")
	expect(t, kept(t, l, other), "uno>")
}

func TestAnUnusablePageIsForgottenWithThoseBehindIt(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), "run", start)
	for _, body := range []string{"one", "bad", "three"} {
		keep(t, l, report, body, "next")
	}
	calls := 0
	err := l.Replay(report, func(connector.KeptPage) (bool, error) { calls++; return calls == 1, nil })
	if err != nil || calls != 2 {
		t.Fatalf("%d pages were offered, %v", calls, err)
	}
	keep(t, l, report, "good", "next")
	expect(t, kept(t, l, report), "one>next", "good>next")
	broken := errors.New("the consumer failed")
	if err := l.Replay(report, func(connector.KeptPage) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v instead of the consumer's error", err)
	}
	if err := l.Forget(report); err != nil {
		t.Fatal(err)
	}
	expect(t, kept(t, l, report))
}

func TestWhatACrashTearsOffIsNoPage(t *testing.T) {
	t.Parallel()
	for name, tear := range map[string]func(index []byte) []byte{
		"half a line":       func(b []byte) []byte { return b[:len(b)-3] },
		"zeros":             func(b []byte) []byte { return append(b[:len(b)-20], make([]byte, 20)...) },
		"a hole in between": func(b []byte) []byte { return append(b, `{"offset":900,"length":1,"next":"x"}`+"\n"...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, t.TempDir(), "run", start)
			keep(t, l, report, "one", "two")
			if name != "a hole in between" {
				keep(t, l, report, "torn", "three")
			}
			path := filepath.Join(l.dir, "rows"+indexSuffix)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tear(text), 0o600); err != nil {
				t.Fatal(err)
			}
			expect(t, kept(t, l, report), "one>two")
			keep(t, l, report, "again", "three")
			expect(t, kept(t, l, report), "one>two", "again>three")
		})
	}
}

// TestADamagedBodyIsNoPage damages the second of three bodies without changing its length, or cuts the file off in it.
func TestADamagedBodyIsNoPage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(bodies []byte) []byte{
		"another byte": func(b []byte) []byte { b[5] ^= 1; return b },
		"cut off":      func(b []byte) []byte { return b[:6] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, t.TempDir(), "run", start)
			for _, body := range []string{"one", "second", "three"} {
				keep(t, l, report, body, "next")
			}
			path := filepath.Join(l.dir, "rows"+bodySuffix)
			bodies, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(bodies), 0o600); err != nil {
				t.Fatal(err)
			}
			expect(t, kept(t, l, report), "one>next", "damaged")
			keep(t, l, report, "again", "next")
			expect(t, kept(t, l, report), "one>next", "again>next")
		})
	}
}

func TestALogHasOneOwner(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l := open(t, root, "run", start)
	if _, err := Open(root, "int_1", "run", time.Time{}, func() time.Time { return start }); !errors.Is(err, ErrBusy) {
		t.Errorf("%v instead of busy", err)
	}
	other, err := Open(root, "int_2", "run", time.Time{}, func() time.Time { return start })
	if err != nil {
		t.Fatalf("another integration: %v", err)
	}
	if err := errors.Join(other.Remove(), l.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOldLogsAreSwept(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := open(t, root, "run", start)
	keep(t, old, report, "one", "two")
	used, err := Open(root, "int_2", "run", time.Time{}, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * MaxAge)
	third, err := Open(root, "int_3", "run", time.Time{}, func() time.Time { return later })
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(root, "*"))
	if want := []string{used.dir, third.dir}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%v are left (%v), want %v", left, err, want)
	}
}

func TestADirectoryThatOthersCanReachIsRefused(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(dir string) error{
		"open to all": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) },
		"a link":      func(dir string) error { return os.Symlink(t.TempDir(), dir) },
		"a file":      func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		root := t.TempDir()
		if err := plant(filepath.Join(root, directoryPrefix+"int_1")); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(root, "int_1", "run", time.Time{}, func() time.Time { return start }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDiscardTakesOnlyWhatNobodyUses discards a log while a run has it, afterwards, and once more.
func TestDiscardTakesOnlyWhatNobodyUses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l := open(t, root, "run", start)
	keep(t, l, report, "a", "b")
	if err := Discard(root, "int_1"); !errors.Is(err, ErrBusy) {
		t.Errorf("in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Discard(root, "int_1"); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWhatBeganBeforeALaterReadingServesNoOtherRun holds that an attempt of the same run goes on all the same.
func TestWhatBeganBeforeALaterReadingServesNoOtherRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l := open(t, root, "run", start)
	keep(t, l, report, "one", "two")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run  string
		by   time.Time
		want int
	}{{"run", start, 1}, {"another", start.Add(-time.Minute), 1}, {"a third", start, 0}} {
		again, err := Open(root, "int_1", c.run, c.by, func() time.Time { return start })
		if err != nil {
			t.Fatal(err)
		}
		if n := len(kept(t, again, report)); n != c.want {
			t.Errorf("%s finds %d pages, want %d", c.run, n, c.want)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
