package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// clearLeftover deals with what a killed predecessor left. We hold the lock, so no live Server owns the data: either
// its server is still shutting down, which is waited for, or only its pid file is left. PostgreSQL would take care of
// a stale file itself, except when another process of the same user has got the number by now: then it refuses.
func (c cluster) clearLeftover(ctx context.Context) error {
	pid := c.serverPID()
	if pid == 0 {
		return nil
	}
	if !c.isServer(ctx, pid) {
		return ignoreMissing(os.Remove(c.pidFile()))
	}
	if err := c.signalServer(syscall.SIGINT); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fastShutdownLimit)
	defer cancel()
	for c.isServer(ctx, pid) {
		if pause(ctx) != nil {
			return fmt.Errorf("an earlier server (process %d) in %s does not stop; end it by hand", pid, c.root)
		}
	}
	return nil
}

func (c cluster) pidFile() string { return filepath.Join(c.path(dataName), "postmaster.pid") }

// serverPID reads the server's process number, 0 when there is none.
func (c cluster) serverPID() int {
	text, err := os.ReadFile(c.pidFile())
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// isServer says whether the process is the server of this very cluster, by its command line.
func (c cluster) isServer(ctx context.Context, pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		if _, noProc := os.Stat("/proc/self"); noProc == nil {
			return false
		}
		line, err = exec.CommandContext(ctx, "ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
		if err != nil {
			return false
		}
	}
	return strings.Contains(string(line), c.path(dataName))
}

// signalServer signals the server of this cluster, if it runs.
func (c cluster) signalServer(signal syscall.Signal) error {
	pid := c.serverPID()
	if pid == 0 || !c.isServer(context.Background(), pid) {
		return nil
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
