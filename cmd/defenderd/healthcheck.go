package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
)

const healthTimeout = 2 * time.Second

func (p *program) healthcheckCommand() *cli.Command {
	flags, lookup := p.settingFlags("ADMIN_LISTEN")
	return &cli.Command{
		Name: "healthcheck", Usage: "ask the service on this machine whether it is alive; for containers without a shell", Flags: flags,
		Description: "Ends with status 0 if the admin listener answers /healthz with 200.\n\nExample:\n\n    defenderd healthcheck --admin-listen :9090",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(func(name string) (string, bool) {
				switch name {
				case config.Prefix + "ADMIN_LISTEN":
					return lookup(name)
				case config.Prefix + "LISTEN":
					return anyPort, true // its default must not be in the way
				}
				return "", false // the rest does not matter here, even if it is wrong
			}, nil)
			if err != nil {
				return err
			}
			return alive(ctx, cfg.AdminListen)
		},
	}
}

func alive(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(listen)+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answers %s", resp.Status)
	}
	return nil
}

// reachable is an address of this machine for one that means all of its addresses.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
