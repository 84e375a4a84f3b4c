package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const startLimit = 60 * time.Second // crash recovery after kill -9 may read a lot of log

// start runs a server of its own.
func (m machine) start(ctx context.Context, opts Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		c, err := m.place(ctx, opts.Dir)
		if err != nil {
			return nil, err
		}
		s, err := m.startIn(ctx, c, opts)
		if err != nil && c.temporary {
			err = errors.Join(err, os.RemoveAll(c.root))
		}
		if !errors.Is(err, errTryAgain) || pause(ctx) != nil {
			return s, err
		}
	}
}

// errTryAgain marks failures that pass by themselves: another process took the chosen port first, or the processes of
// a killed server have not noticed yet and still hold its shared memory.
var errTryAgain = errors.New("for the moment")

func (m machine) startIn(ctx context.Context, c cluster, opts Options) (s *Server, err error) {
	release, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	major, err := c.existingMajor()
	if err != nil {
		return nil, err
	}
	if c.programs, err = m.find(ctx, c.run, major); err != nil {
		return nil, err
	}
	password, err := c.initialise(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.clearLeftover(ctx); err != nil {
		return nil, err
	}
	p, port, err := c.serve(ctx, password, opts.Settings)
	if err != nil {
		return nil, err
	}
	s = &Server{process: p, release: release, source: c.describe(port)}
	if s.url, err = c.database(ctx, password, port, opts.Database); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	announce(opts.Announce, s.source)
	return s, nil
}

// describe is the line for the user.
func (c cluster) describe(port string) string {
	kept := "kept in " + c.root
	if c.temporary {
		kept = "temporary"
	}
	if c.moved {
		kept += " (the directory asked for is closed to that account)"
	}
	as := ""
	if c.run.name != "" {
		as = " as " + c.run.name
	}
	return fmt.Sprintf("database: PostgreSQL %d from %s, started on 127.0.0.1:%s%s, data %s", c.programs.major, c.programs.dir, port, as, kept)
}

// database makes sure the wanted database is there and returns its address.
func (c cluster) database(ctx context.Context, password, port, name string) (string, error) {
	if name == "" {
		name = DefaultDatabase
	}
	if err := createDatabase(ctx, c.url(password, port, "postgres"), name); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return c.url(password, port, name), nil
}

// serve starts the server and waits until it answers.
func (c cluster) serve(ctx context.Context, password string, wanted []string) (*process, string, error) {
	port, err := freePort(c.lastPort())
	if err != nil {
		return nil, "", err
	}
	p, err := launch(c, c.settings(port, wanted))
	if err != nil {
		return nil, "", err
	}
	if err = c.awaitAnswer(ctx, p, password, port); err == nil {
		if err = c.write(portName, port); err == nil {
			return p, port, nil
		}
	}
	words := p.lastWords()
	if err = errors.Join(err, p.stop()); worthAnotherTry(words) {
		err = fmt.Errorf("%w: %w", errTryAgain, err)
	}
	return nil, "", fmt.Errorf("the PostgreSQL server did not start: %w\n%s", err, words)
}

func worthAnotherTry(words string) bool {
	return strings.Contains(words, "could not bind") || strings.Contains(words, "pre-existing shared memory block")
}

// settings are arguments for the server, of which the last word counts.
func (c cluster) settings(port string, wanted []string) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories=", // a socket's path must be short, ours may not be
		"max_connections=200", "timezone=UTC", "log_timezone=UTC", "logging_collector=off",
	}
	if c.temporary {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	var args []string
	for _, setting := range slices.Concat(settings, wanted) {
		args = append(args, "-c", setting)
	}
	return args
}

func (c cluster) awaitAnswer(ctx context.Context, p *process, password, port string) error {
	dsn := c.url(password, port, "postgres")
	for {
		err := ping(ctx, dsn)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.New("it ended")
		default:
		}
		if errors.Join(ctx.Err(), pause(ctx)) != nil {
			return fmt.Errorf("it did not answer in time: %w", err)
		}
	}
}

// pause waits a moment between two looks at something that cannot tell when it changes.
func pause(ctx context.Context) error {
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c cluster) lastPort() string {
	text, err := os.ReadFile(c.path(portName))
	if err != nil {
		return "0"
	}
	if _, err := strconv.ParseUint(string(text), 10, 16); err != nil {
		return "0"
	}
	return string(text)
}

// freePort returns the wanted port if nobody has it, else any free one.
func freePort(wanted string) (string, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", wanted))
	if err != nil {
		if listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return strconv.Itoa(port), listener.Close()
}
