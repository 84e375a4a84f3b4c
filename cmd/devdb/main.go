// Command devdb lends a PostgreSQL to another program: it finds or starts one, runs the program with DATABASE_URL set,
// and stops what it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"pgp.internal/defender/internal/pgserver"
)

const usage = `usage: devdb run [-dir DIRECTORY] [-set NAME=VALUE]... -- PROGRAM [ARGUMENT...]
       devdb find

run: runs PROGRAM with DATABASE_URL naming a PostgreSQL database, and ends with its exit status.
DATABASE_URL from the environment is used if it is set. Otherwise a server is started and stopped again;
its data is temporary, or kept in DIRECTORY. -set gives a setting of a started server, such as shared_buffers=1GB.

find: prints where the PostgreSQL programs are that run would start, or fails if there are none.
`

// Exit statuses of devdb itself; the others are the program's own. They follow env(1) and the shell.
const (
	exitUsage     = 2
	exitOwnFault  = 125
	exitNotStart  = 126
	exitBySignal  = 128 // plus the number of the signal
	signalsBuffer = 4
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "find" {
		return find(stderr)
	}
	flags := flag.NewFlagSet("devdb run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	dir := flags.String("dir", "", "")
	var settings []string
	flags.Func("set", "", func(text string) error { settings = append(settings, text); return nil })
	if len(args) == 0 || args[0] != "run" {
		flags.Usage()
		return exitUsage
	}
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() == 0 {
		if err == nil {
			flags.Usage()
		}
		return exitUsage
	}
	// Listening before the start: a signal from now on is kept, and never leaves a server behind.
	signals := make(chan os.Signal, signalsBuffer)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	server, err := start(signals, pgserver.Options{URL: os.Getenv(pgserver.EnvURL), Dir: *dir, Settings: settings, Announce: stderr})
	if err != nil {
		fmt.Fprintln(stderr, "devdb:", err)
		return exitOwnFault
	}
	status := lend(server, flags.Args(), signals, stderr)
	if err := server.Stop(); err != nil {
		fmt.Fprintln(stderr, "devdb:", err)
		if status == 0 {
			status = exitOwnFault
		}
	}
	return status
}

func find(stderr io.Writer) int {
	dir, err := pgserver.Find(context.Background())
	if err != nil {
		fmt.Fprintln(stderr, "devdb:", err)
		return exitOwnFault
	}
	fmt.Println(dir)
	return 0
}

// start gives up at the first signal.
func start(signals <-chan os.Signal, opts pgserver.Options) (*pgserver.Server, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	started := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case got := <-signals:
			cancel(fmt.Errorf("stopped by signal: %v", got))
		case <-started:
		}
	}()
	server, err := pgserver.Start(ctx, opts)
	close(started)
	<-watched
	if cause := context.Cause(ctx); cause != nil {
		if server != nil {
			return nil, errors.Join(cause, server.Stop())
		}
		return nil, cause
	}
	return server, err
}

// lend runs the program to its end and returns its exit status.
func lend(server *pgserver.Server, args []string, signals <-chan os.Signal, stderr io.Writer) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), pgserver.EnvURL+"="+server.URL())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if !isTerminal(os.Stdin) {
		cmd.Stdin = os.Stdin
	}
	// A group of its own, so that each signal arrives once: sent by us, not by the terminal too. The price is that the
	// program cannot read from the terminal, hence the test above.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "devdb:", err)
		return exitNotStart
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	lost := server.Done()
	for {
		select {
		case err := <-ended:
			return exitStatus(err)
		case got := <-signals:
			pass(cmd.Process.Pid, got)
		case <-lost:
			fmt.Fprintln(stderr, "devdb: the database server has ended before the program")
			lost = nil
		}
	}
}

// pass hands a signal to the program and everything it has started in its group. A group that is gone is no error.
func pass(group int, got os.Signal) {
	if number, ok := got.(syscall.Signal); ok {
		_ = syscall.Kill(-group, number)
	}
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return exitOwnFault
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return exitBySignal + int(state.Signal())
	}
	return exit.ExitCode()
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
