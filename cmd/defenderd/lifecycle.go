package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the servers. A request's answer includes a live check of credentials, which may take 10 seconds.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 15 * time.Second
	writeTimeout   = 25 * time.Second // from the end of the header on; lists that are streamed have a limit of their own
	profileTimeout = 60 * time.Second // the same of the operator's listener, where profiles take their time
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 12 << 10 // to which net/http adds 4 KiB
	// finishWithin is how long answers in progress may take once the process stops.
	finishWithin = 10 * time.Second
)

// listener is an open port with what it will serve.
type listener struct {
	name   string
	socket net.Listener
	server *http.Server
}

// bounds are what a listener grants its clients: time for a header, a whole request and its answer, time between requests, and
// connections at once; further ones wait unaccepted.
type bounds struct {
	header, read, write, idle time.Duration
	connections               int
}

// maxAdminConnections is for probes, scrapers and people.
const maxAdminConnections = 256

func publicBounds(connections int) bounds {
	return bounds{headerTimeout, readTimeout, writeTimeout, idleTimeout, connections}
}

func adminBounds() bounds {
	return bounds{headerTimeout, readTimeout, profileTimeout, idleTimeout, maxAdminConnections}
}

func listen(name, address string, h http.Handler, b bounds, log *slog.Logger) (*listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return &listener{name, netutil.LimitListener(socket, b.connections), &http.Server{
		Handler: h, ReadHeaderTimeout: b.header, ReadTimeout: b.read, WriteTimeout: b.write, IdleTimeout: b.idle,
		MaxHeaderBytes: maxHeaderBytes, DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

func (l *listener) address() string { return l.socket.Addr().String() }

func (l *listener) serve() error {
	if err := l.server.Serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.name, err)
	}
	return nil
}

// finish takes no more connections and lets answers end; those that take too long are cut.
func (l *listener) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("answers of %s were cut: %w", l.name, err), l.server.Close())
	}
	return nil
}

// close gives the port back without having served.
func (l *listener) close() error {
	if err := errors.Join(l.server.Close(), l.socket.Close()); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// run serves until ctx ends or a listener fails, and then stops in order.
func (s *service) run(ctx context.Context) error {
	failed := make(chan error, 2)
	attributes := []any{"admin", s.admin.address(), "version", thisBuild().Version}
	go func() { failed <- s.admin.serve() }()
	if s.public != nil {
		attributes = append(attributes, "api", s.public.address())
		go func() { failed <- s.public.serve() }()
	}
	if s.engine != nil {
		attributes = append(attributes, "workers", s.cfg.Workers)
		s.engine.Start()
		s.scheduler.Start()
		s.watch.Start()
	}
	s.log.Info("serving", attributes...)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.stop(err == nil))
}

// stop turns readiness off, hands imports back while requests are still answered, and ends within 30 seconds.
func (s *service) stop(drain bool) error {
	began := time.Now()
	s.draining.Store(true)
	s.log.Info("stopping", "drain_delay", s.cfg.DrainDelay)
	handedBack := make(chan error, 1)
	go func() { handedBack <- s.stopWork() }()
	if drain && s.cfg.DrainDelay > 0 {
		time.Sleep(s.cfg.DrainDelay)
	}
	var errs []error
	if s.public != nil {
		errs = append(errs, s.public.finish())
	}
	errs = append(errs, <-handedBack, s.admin.finish(), s.release())
	err := errors.Join(errs...)
	s.log.Info("stopped", "took", time.Since(began))
	return err
}

func (s *service) stopWork() error {
	if s.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), handBackWithin)
	defer cancel()
	return errors.Join(s.scheduler.Stop(ctx), s.watch.Stop(ctx), s.engine.Stop(ctx))
}
