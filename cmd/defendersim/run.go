package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// run serves until ctx is done. It prints one line of JSON with the addresses once it accepts connections.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, env, stderr)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	sim := defendersim.New(defendersim.Config{Seed: o.seed, CatalogueSize: o.catalogue, NoQuotas: !o.quotas,
		PageCache: int64(o.pageCache) << 20, Logger: log})
	if err := sim.Switch(o.switches); err != nil {
		return err
	}
	for _, d := range directories(o, time.Now()) {
		if err := sim.AddDirectory(d); err != nil {
			return err
		}
	}
	api, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", o.control)
	if err != nil {
		return errors.Join(err, api.Close())
	}
	scheme := "http"
	if o.tls {
		secured, err := secure(api, o.certificateFile)
		if err != nil {
			return errors.Join(err, api.Close(), control.Close())
		}
		api, scheme = secured, "https"
	}
	if err := json.NewEncoder(stdout).Encode(map[string]string{
		"api": scheme + "://" + api.Addr().String(), "control": "http://" + control.Addr().String(),
		"directory": o.directory, "client_id": o.client,
	}); err != nil {
		return errors.Join(err, api.Close(), control.Close())
	}
	return serve(ctx, log, server{sim.Handler(), api}, server{sim.ControlHandler(), control})
}

type server struct {
	handler  http.Handler
	listener net.Listener
}

// drain is the time that running answers get when the program is told to stop.
const drain = 5 * time.Second

func serve(ctx context.Context, log *slog.Logger, list ...server) error {
	failed := make(chan error, len(list))
	var servers []*http.Server
	for _, s := range list {
		h := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		servers = append(servers, h)
		go func() { failed <- h.Serve(s.listener) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, h := range servers {
		if h.Shutdown(stop) != nil {
			_ = h.Close() // held and hanging answers do not end by themselves
		}
	}
	return err
}
