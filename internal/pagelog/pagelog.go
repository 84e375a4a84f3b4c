// Package pagelog keeps the pages of a source's lists on disk while a run reads them, so that an interrupted run goes on
// behind the last one instead of starting over.
package pagelog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pgp.internal/defender/internal/connector"
)

// MaxAge is how long kept pages may serve. Microsoft regenerates the vulnerability report every six hours, and a chain of
// its pages belongs to one report.
const MaxAge = 6 * time.Hour

// ErrBusy says that another process, perhaps one that has lost its claim and does not know it yet, still uses the log.
var ErrBusy = errors.New("pagelog: in use by another process")

const directoryPrefix = "defenderd-pages-"

// Log holds the pages of one integration's lists. It belongs to one process at a time; the operating system gives it
// free when that process dies. Its methods may be called for different lists at the same time.
type Log struct {
	dir  string
	run  string
	from string // the earlier run whose pages were taken over; empty for none
	now  func() time.Time
	lock *os.File
}

var _ connector.PageLog = (*Log)(nil)

// Open takes the log of an integration below root (empty: the system's temporary directory) for a run, and discards the
// logs there that nobody can use any more. What another run has kept serves only for a snapshot that it could not finish:
// to read a finished list again would be no second opinion. What it did not begin
// after the moment given is out of date: a later reading was applied.
func Open(root, integration, run string, after time.Time, now func() time.Time) (*Log, error) {
	if root == "" {
		root = os.TempDir()
	}
	if integration == "" || strings.ContainsAny(integration, `/\`) {
		return nil, fmt.Errorf("pagelog: %q cannot name a directory", integration)
	}
	if err := sweep(root, now()); err != nil {
		return nil, err
	}
	l := &Log{dir: filepath.Join(root, directoryPrefix+integration), run: run, now: now}
	if err := ownDirectory(l.dir); err != nil {
		return nil, err
	}
	var err error
	if l.lock, err = lockDirectory(l.dir); err != nil {
		return nil, err
	}
	if err := l.dropForeign(after); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Discard removes the log of an integration below root, if there is one; ErrBusy says that somebody still uses it.
func Discard(root, integration string) error {
	if root == "" {
		root = os.TempDir()
	}
	dir := filepath.Join(root, directoryPrefix+filepath.Base(integration))
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := ownDirectory(dir); err != nil {
		return err
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	return nil
}

// ownDirectory makes the directory, or makes sure that it is one that nobody else can reach: its name can be guessed, and the
// system's temporary directory is open to all.
func ownDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("pagelog: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || known && int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("pagelog: %s is not a directory of this service alone", dir)
	}
	return nil
}

// lockDirectory takes the directory for this process.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pagelog: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweep removes the logs that are too old to serve and that nobody uses.
func sweep(root string, now time.Time) error {
	found, err := filepath.Glob(filepath.Join(root, directoryPrefix+"*"))
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	for _, dir := range found {
		info, err := os.Stat(dir)
		if err != nil || now.Sub(info.ModTime()) < MaxAge {
			continue // gone meanwhile, or young
		}
		lock, err := lockDirectory(dir)
		if err != nil {
			continue // in use, or not ours to remove
		}
		if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
			return fmt.Errorf("pagelog: %w", err)
		}
	}
	return nil
}

// dropForeign discards what this run may not go on with.
func (l *Log) dropForeign(after time.Time) error {
	found, err := filepath.Glob(filepath.Join(l.dir, "*"+indexSuffix))
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	for _, path := range found {
		name := strings.TrimSuffix(filepath.Base(path), indexSuffix)
		index, err := readIndex(path)
		own := index.Run == l.run || index.Snapshot && (index.Part || !index.finished()) && index.Began.After(after)
		if err == nil && own && l.now().Sub(index.Began) < MaxAge {
			err = l.adopt(name, index)
		} else {
			err = l.drop(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// adopt makes a list this run's.
func (l *Log) adopt(list string, x index) error {
	if x.Run == l.run {
		l.from = cmp.Or(l.from, x.From)
		return nil
	}
	l.from = x.Run
	old := l.path(list, indexSuffix)
	text, err := os.ReadFile(old)
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	x.Run, x.From = l.run, x.Run
	line, err := json.Marshal(x.header)
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	text = append(append(line, '\n'), text[x.ends[0]:]...)
	if err := os.WriteFile(old+".new", text, 0o600); err != nil { // #nosec G703 -- below a directory of this service alone, under a name of its own
		return fmt.Errorf("pagelog: %w", err)
	}
	if err := os.Rename(old+".new", old); err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	return nil
}

// From is the earlier run that could not finish its snapshot, whose pages this run goes on with; empty when there is none.
func (l *Log) From() string { return l.from }

// drop discards the pages of a list.
func (l *Log) drop(list string) error {
	for _, suffix := range []string{indexSuffix, bodySuffix} { // without its index, a body counts for nothing
		if err := os.Remove(l.path(list, suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("pagelog: %w", err)
		}
	}
	return nil
}

// Forget implements [connector.PageLog].
func (l *Log) Forget(p connector.PageList) error { return l.drop(p.Name) }

// Close lets go of the log and leaves its pages for a later attempt.
func (l *Log) Close() error { return l.lock.Close() }

// Remove discards the log.
func (l *Log) Remove() error { return errors.Join(os.RemoveAll(l.dir), l.lock.Close()) }

func (l *Log) path(list, suffix string) string { return filepath.Join(l.dir, list+suffix) }

// Replay implements [connector.PageLog].
func (l *Log) Replay(p connector.PageList, use func(connector.KeptPage) (bool, error)) error {
	index, err := readIndex(l.path(p.Name, indexSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil || index.First != p.First {
		return l.drop(p.Name)
	}
	body, err := os.Open(l.path(p.Name, bodySuffix))
	if err != nil {
		return l.drop(p.Name)
	}
	defer body.Close() //nolint:errcheck // read-only
	for i, e := range index.entries {
		page := connector.KeptPage{Next: e.Next, Encoding: e.Encoding, Body: io.NewSectionReader(body, e.Offset, e.Length), Damaged: !e.intact(body)}
		usable, err := use(page)
		if err != nil {
			return err
		}
		if !usable || page.Damaged {
			return l.truncate(p.Name, index.ends[i])
		}
	}
	return nil
}

// truncate cuts an index off behind so many bytes.
func (l *Log) truncate(list string, size int64) error {
	if err := os.Truncate(l.path(list, indexSuffix), size); err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	return nil
}
