package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
)

func (p *program) serveCommand() *cli.Command {
	flags, lookup := p.settingFlags()
	return &cli.Command{
		Name: "serve", Usage: "run the service until it is told to stop",
		Description: "SIGTERM or Ctrl-C makes it finish its answers, hand its imports to other processes, and end within 30 seconds.\n\n" +
			"Examples:\n\n" +
			"    defenderd serve --check\n" +
			"    defenderd serve --migrate\n" +
			"    defenderd serve --roles http --listen :8080\n" +
			"    defenderd serve --roles work --workers 8",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "check", Usage: "check the settings, tell all problems, and start nothing"},
			&cli.BoolFlag{Name: "print-config", Usage: "print the settings in force, secrets masked, and start nothing"},
			&cli.BoolFlag{Name: "migrate", Usage: "bring the database's schema up to date first; needs its owner"},
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if cmd.Bool("print-config") {
				return errors.Join(config.Print(p.stdout, lookup), config.Unknown(p.environ))
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL", "KEYRING")
			if err != nil {
				return err
			}
			cfg.Warnings = append(cfg.Warnings, unproxied(&cfg)...)
			if cmd.Bool("check") {
				p.warn(cfg)
				_, err := fmt.Fprintln(p.stdout, "The configuration is complete and well-formed.")
				return err
			}
			return p.serve(ctx, cfg, cmd.Bool("migrate"))
		},
	}
}

// warn tells on the side what is permitted and should be mended.
func (p *program) warn(cfg config.Config) {
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(p.stderr, "warning:", warning)
	}
}

// unproxied warns of a public listener that others reach while no proxy is trusted: behind one, all clients would share its address, in
// limits and in the audit trail. Without a proxy that is right, so it is no more than a warning.
func unproxied(cfg *config.Config) []string {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); !cfg.ServeHTTP || len(cfg.TrustedProxies) > 0 || err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return []string{config.Prefix + "TRUSTED_PROXIES: none is set and " + config.Prefix + "LISTEN is not on loopback; behind a proxy all clients would count as one address"}
}

// serve runs the service until ctx ends.
func (p *program) serve(ctx context.Context, cfg config.Config, migrate bool) error {
	log := newLogger(p.stderr, cfg)
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	if migrate {
		if _, err := migrateSchema(ctx, cfg.DatabaseURL.Reveal()); err != nil {
			return err
		}
	}
	s, err := newService(ctx, cfg, log)
	if err != nil {
		return err
	}
	return s.run(ctx)
}
