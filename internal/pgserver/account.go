package pgserver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the operating system user the server runs as. PostgreSQL refuses to run as root, so root lends it an
// unprivileged one. The zero account is the caller's own.
type account struct {
	name       string
	credential *syscall.Credential
}

// chooseAccount returns the account for a server whose data is, or will be, in dir. Root gives existing data back to
// its owner, because PostgreSQL wants to own its data directory.
func chooseAccount(ctx context.Context, dir string) account {
	if os.Geteuid() != 0 {
		return account{}
	}
	if owner, ok := ownerOf(filepath.Join(dir, dataName)); dir != "" && ok && owner.Uid != 0 {
		return account{name: nameOf(owner.Uid), credential: owner}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if a, ok := lookUp(name); ok && a.canEnter(ctx, "/") {
			return a
		}
	}
	return account{name: nameOf(65534), credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

func ownerOf(path string) (*syscall.Credential, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, false
	}
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}, true
}

func lookUp(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if errUID != nil || errGID != nil || uid == 0 {
		return account{}, false
	}
	return account{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, true
}

func nameOf(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// command prepares a program to run as the account, in a session of its own so that Ctrl-C in the terminal does not
// reach it: the server is stopped on purpose, after those who use it.
func (a account) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/" // the caller's directory may be closed to the account
	cmd.Env = serverEnvironment(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
	return cmd
}

// serverEnvironment drops what would change how PostgreSQL's programs behave: their own variables and the locale,
// which may be unset or may name one that is not installed. Messages have to be in English, they are looked at.
func serverEnvironment(env []string) []string {
	kept := make([]string, 0, len(env)+1)
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || name == "LANG" || name == "LANGUAGE" || name == EnvURL {
			continue
		}
		kept = append(kept, entry)
	}
	return append(kept, "LC_ALL=C")
}

// canEnter asks the system itself, by trying: file modes alone do not know about access control lists or read-only
// and user-mapped mounts.
func (a account) canEnter(ctx context.Context, dir string) bool {
	return a.command(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", dir).Run() == nil
}

// give makes the account the owner of path. It does nothing for the caller's own account.
func (a account) give(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// makeDirectory creates dir and its missing parents. When the server has another account than the caller, what is
// created can be entered by it whatever the umask.
func (a account) makeDirectory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := a.makeDirectory(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if a.credential == nil {
		return nil
	}
	return os.Chmod(dir, 0o755)
}
