package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a process that this program has started and will stop.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with what it writes to stderr
	done chan struct{} // closed when it has ended
	err  error         // valid after done
}

// stopWithin is longer than any of the programs takes to end in order.
const stopWithin = 40 * time.Second

// startChild starts a program whose log goes to a file. It does not end with a context: those who use it do so first. It has
// a process group of its own, so that Ctrl-C reaches this program alone, which then takes things down in order.
func startChild(name, program string, args, env []string, log string, stdout io.Writer) (*child, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // the child has its own
	c := &child{name: name, cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = env, stdout, file
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// alive tells why the child has ended, if it has.
func (c *child) alive() error {
	select {
	case <-c.done:
		return fmt.Errorf("%s has ended (%w); its log is %s", c.name, errors.Join(c.err, errors.New(c.cmd.ProcessState.String())), c.log)
	default:
		return nil
	}
}

// stop asks it to end, and ends it if it does not.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-c.done:
		return nil
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end by itself; its log is %s", c.name, c.log)
	}
}

// await looks every now and then until look succeeds, the child ends, or time is up.
func (c *child) await(ctx context.Context, within time.Duration, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := look()
		if err == nil {
			return nil
		}
		if ended := c.alive(); ended != nil {
			return ended
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("%s is not ready: %w; its log is %s", c.name, err, c.log)
		}
	}
}

// pause waits, or returns the context's error when it ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// environment is this program's own without what would change the programs it starts.
func environment(more ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "DEFENDER") || strings.HasPrefix(name, "PG") || name == "DATABASE_URL" {
			continue
		}
		env = append(env, entry)
	}
	return append(env, more...)
}

// output runs a program to its end and gives what it wrote. Its error holds what it complained of.
func output(ctx context.Context, program string, args, env []string, stdin io.Reader) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, complaint bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, stdin, &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}
