package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Files in the directory of a cluster.
const (
	dataName     = "data"     // PostgreSQL's own directory
	passwordName = "password" // of the superuser
	lockName     = "lock"     // held while a Server uses the directory
	portName     = "port"     // last port, taken again if it is free, so that notes about the address stay true
	logName      = "server.log"
)

const superuser = "postgres"

// cluster is a directory with a database server's data and what is needed to run it.
type cluster struct {
	root      string
	temporary bool
	moved     bool // not where the caller wanted it
	run       account
	programs  binaries
}

func (c cluster) path(name string) string { return filepath.Join(c.root, name) }

func (c cluster) url(password, port, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password),
		Host: net.JoinHostPort("127.0.0.1", port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// place decides where the cluster lives and creates that directory.
func (m machine) place(ctx context.Context, dir string) (cluster, error) {
	if dir == "" {
		return m.placeTemporary(ctx)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return cluster{}, err
	}
	c := cluster{root: dir, run: chooseAccount(ctx, dir)}
	if !c.run.canEnter(ctx, nearestExisting(dir)) {
		// Typical for root: a source tree below /root, which no other account may enter.
		c.moved = true
		c.root = filepath.Join(m.stateDir, fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:16])
		c.run = chooseAccount(ctx, c.root)
	}
	if err := c.checkForeign(); err != nil {
		return cluster{}, err
	}
	if err := c.run.makeDirectory(c.root); err != nil {
		return cluster{}, fmt.Errorf("directory for the database: %w", err)
	}
	if err := c.run.give(c.root); err != nil {
		return cluster{}, err
	}
	if !c.run.canEnter(ctx, c.root) {
		return cluster{}, fmt.Errorf("%s cannot be entered by the account that runs PostgreSQL (%s); choose another directory", c.root, c.run.name)
	}
	return c, nil
}

// checkForeign refuses a directory that holds something else, before its owner is changed, and data of somebody else.
func (c cluster) checkForeign() error {
	entries, err := os.ReadDir(c.root)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == lockName && e.Type().IsRegular() }) {
		return fmt.Errorf("%s holds other files; give an empty directory or one that does not exist", c.root)
	}
	if owner, ok := ownerOf(c.path(dataName)); ok && os.Geteuid() != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("the data in %s belongs to another user (uid %d); remove it or start as that user", c.root, owner.Uid)
	}
	return nil
}

// open opens or creates a file of the cluster. The server's account can write to the directory, so root must not
// follow a link it finds there.
func (c cluster) open(name string, flags int) (*os.File, error) {
	return os.OpenFile(c.path(name), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|flags, 0o600)
}

func (c cluster) write(name, text string) (err error) {
	file, err := c.open(name, os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if c.run.credential != nil {
		if err := file.Chown(int(c.run.credential.Uid), int(c.run.credential.Gid)); err != nil {
			return err
		}
	}
	_, err = file.WriteString(text)
	return err
}

func (m machine) placeTemporary(ctx context.Context) (cluster, error) {
	run := chooseAccount(ctx, "")
	for _, parent := range m.tempDirs {
		if !run.canEnter(ctx, parent) {
			continue
		}
		root, err := os.MkdirTemp(parent, "pgp-defender-pg-")
		if err != nil {
			continue
		}
		c := cluster{root: root, temporary: true, run: run}
		return c, run.give(root)
	}
	return cluster{}, fmt.Errorf("no temporary directory can be used by PostgreSQL (tried %s); set TMPDIR", strings.Join(m.tempDirs, ", "))
}

func nearestExisting(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// lock takes the directory for this process, or says who has it. The system drops the lock when its holder dies.
func (c cluster) lock() (release func(), err error) {
	file, err := c.open(lockName, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := file.ReadAt(holder, 0)
		return nil, errors.Join(fmt.Errorf("the database in %s is in use by process %s; end that, or use another directory",
			c.root, bytes.TrimSpace(holder[:n])), file.Close())
	}
	if err := errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid()))); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { file.Close() }, nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// existingMajor is the release that made the data, or 0 if there is none yet.
func (c cluster) existingMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.path(dataName), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// initialise creates the data and returns the superuser's password, or reads the password of existing data. The data
// gets its final name last: an interrupted initdb leaves nothing that looks finished.
func (c cluster) initialise(ctx context.Context) (password string, err error) {
	if _, err := os.Stat(c.path(dataName)); err == nil {
		text, err := os.ReadFile(c.path(passwordName))
		if err != nil {
			return "", fmt.Errorf("password of the database in %s: %w; remove the directory to begin anew", c.root, err)
		}
		return string(text), nil
	}
	password = rand.Text()
	unfinished := c.path(dataName + ".unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := c.write(passwordName, password); err != nil {
		return "", err
	}
	cmd := c.run.command(ctx, c.programs.program("initdb"), "--no-sync", "--encoding=UTF8", "--locale=C",
		"--username="+superuser, "--auth=scram-sha-256", "--pwfile="+c.path(passwordName), "--pgdata="+unfinished)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
	}
	return password, os.Rename(unfinished, c.path(dataName))
}
