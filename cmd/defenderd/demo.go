package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderd/internal/demo"
)

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "show the product: a database, a simulated Microsoft and the service, and a walk through the API",
		Description: "Starts everything on this machine and stops it again; nothing of Microsoft's is called. The database is the one of\n" +
			"DATABASE_URL if that is set, else a PostgreSQL of its own. Data, keys and the log are kept in --dir, so that a second start\n" +
			"goes on where the first one ended; remove the directory to begin anew.\n\n" +
			"With --against it starts nothing and walks through a service and a simulator that run already.\n\n" +
			"Examples:\n\n    defenderd demo\n    defenderd demo --exit\n    defenderd demo --machines 2000 --dir /tmp/demo\n" +
			"    defenderd demo --against http://127.0.0.1:8080 --key-file .local/dev/api-key",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "exit", Usage: "end after the walk, with status 0 only if the import equals what the simulator holds"},
			&cli.IntFlag{Name: "machines", Value: 500, Usage: "ordinary machines of the simulated directory; odd ones come on top"},
			&cli.IntFlag{Name: "findings", Value: 40, Usage: "vulnerable software rows of a machine, on average"},
			&cli.IntFlag{Name: "catalogue", Value: 5000, Usage: "vulnerabilities in Microsoft's simulated catalogue"},
			&cli.StringFlag{Name: "dir", Value: ".local/demo", Usage: "where data, keys and the log are kept"},
			&cli.StringFlag{Name: "against", Usage: "address of a running service's API"},
			&cli.StringFlag{Name: "control", Value: "http://127.0.0.1:9401", Usage: "with --against: address of the simulator's control interface"},
			&cli.StringFlag{Name: "key-file", Usage: "with --against: file with an admin's API key, as \"tenant admit\" makes it"},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if cmd.IsSet("against") {
				for _, other := range []string{"exit", "machines", "findings", "catalogue", "dir"} {
					if cmd.IsSet(other) {
						return usagef("--%s is not for --against", other)
					}
				}
				return p.demoAgainst(ctx, cmd.String("against"), cmd.String("control"), cmd.String("key-file"))
			}
			size := demoSize{Machines: cmd.Int("machines"), Findings: cmd.Int("findings"), Catalogue: cmd.Int("catalogue")}
			if size.Machines < 1 || size.Machines > 100_000 || size.Findings < 0 || size.Findings > 1000 || size.Catalogue < 1 || size.Catalogue > 500_000 {
				return usagef("--machines must be 1 to 100000, --findings 0 to 1000, --catalogue 1 to 500000")
			}
			return p.demo(ctx, cmd.String("dir"), size, cmd.IsSet("machines") || cmd.IsSet("findings") || cmd.IsSet("catalogue"), cmd.Bool("exit"))
		},
	}
}

// demo sets the stage, walks through the API, and takes everything down again, whatever happened.
func (p *program) demo(ctx context.Context, dir string, size demoSize, chosen, exit bool) (err error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, err := openStage(dir, size, chosen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	w := demo.NewWriter(p.stdout, onTerminal(p.stdout))
	w.Title("Microsoft Defender for PGP, with a simulated Microsoft")
	if err := p.setStage(ctx, cancel, s, w); err != nil {
		return first(ctx, err)
	}
	tour := demo.Tour{
		Client: api.New(s.apiURL, s.state.APIKey), Writer: w, Control: s.controlURL,
		DirectoryID: s.state.DirectoryID, ClientID: s.state.ClientID, Secret: s.state.Secret,
	}
	if err := tour.Walk(ctx); err != nil {
		return first(ctx, err)
	}
	if exit {
		err := tour.Compare(ctx)
		w.Line("Took %s.", time.Since(began).Round(100*time.Millisecond))
		return first(ctx, err)
	}
	s.addresses(w)
	w.Line("\nPress Ctrl-C to end.")
	<-ctx.Done()
	w.Line("\nStopping.")
	return first(ctx, nil)
}

// collapse is the reason for which the stage came down by itself.
type collapse struct{ error }

// first prefers the reason for which the stage came down to what that made fail.
func first(ctx context.Context, err error) error {
	if reason, ok := errors.AsType[collapse](context.Cause(ctx)); ok {
		return reason
	}
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted before the end")
	}
	return err
}

func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// addresses says where to go on.
func (s *stage) addresses(w *demo.Writer) {
	w.Step("Where to look next")
	w.Table([]string{"", ""}, [][]string{
		{"API", s.apiURL},
		{"Its documentation", s.apiURL + "/docs"},
		{"Metrics for Prometheus", s.adminURL + "/metrics"},
		{"Microsoft, simulated", s.microsoftURL},
		{"The simulator's control", s.controlURL + "  (faults, changes, the truth)"},
		{"The service's log", s.path(logName)},
	})
	w.Line("\nTry:\n\n  %s", fmt.Sprintf("curl -H 'Authorization: Bearer %s' '%s/v1/findings?severity=critical&limit=2'", s.state.APIKey, s.apiURL))
}
