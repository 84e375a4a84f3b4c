package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/postgres"
)

// losses tells what a step back from each version of the schema deletes.
var losses = map[uint]string{
	1:  "tenants, entitlements, API keys and the check values of the keyring",
	2:  "integrations with their sealed client secrets, runs and the queue",
	3:  "assets, software and the catalogue of vulnerabilities",
	4:  "findings, where their software sits, and recommendations",
	5:  "what is counted of the calls to Microsoft: for an hour afterwards more may be made than it permits",
	6:  "the lists of what the last runs left out, and the last comparisons with Defender's own totals, and previews; other runs themselves stay",
	7:  "the history of findings; their present state stays",
	8:  "the audit trail: every event of every tenant, and with it the proof of what was done",
	9:  "the data keys: every stored client secret that one of them sealed can never be read again",
	10: "what runs and checks told of an integration's state beyond its code",
	11: "the limits of tenants, their ETags, and what was counted of deletions under way; those go on with a newer program only",
	12: "which requests with an Idempotency-Key were carried out in the last 24 hours: one that is repeated would be carried out again",
	13: "since when Microsoft calls a secret expired, until it is met again",
	14: "how large waiting imports are known to be: until they are measured again, large ones may take all workers",
	15: "nothing that is stored; from then on an event can be written to the audit trail that the program cannot read",
}

func (p *program) migrateCommand() *cli.Command {
	up := p.migrateUp()
	flags, _ := p.settingFlags(databaseSettings...)
	return p.group(&cli.Command{
		Name: "migrate", Usage: "bring the database's schema up to date; without a command, the same as \"migrate up\"",
		Description: "Needs the user who owns the schema. Several may run at once: one of them does the work.\n\n" +
			"Examples:\n\n    defenderd migrate\n    defenderd migrate status\n    defenderd migrate down 1",
		Flags: flags,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return unknownCommand(cmd)
			}
			return up.Action(ctx, cmd)
		},
	}, up, p.migrateStatus(), p.migrateDown(), p.migrateForce())
}

func (p *program) migrateUp() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "up", Usage: "apply what is missing", Flags: flags, Description: "Example:\n\n    defenderd migrate up",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL")
			if err != nil {
				return err
			}
			status, err := migrateSchema(ctx, cfg.DatabaseURL.Reveal())
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "The schema is at version %d, the newest.\n", status.Version)
			return nil
		},
	}
}

func (p *program) migrateStatus() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "status", Usage: "show where the schema stands", Flags: append([]cli.Flag{outputFlag()}, flags...),
		Description: "Example:\n\n    defenderd migrate status -o json",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL")
			if err != nil {
				return err
			}
			status, err := postgres.SchemaStatus(ctx, cfg.DatabaseURL.Reveal())
			if err != nil {
				return err
			}
			return show(p.stdout, cmd, map[string]any{"version": status.Version, "latest": status.Latest, "dirty": status.Dirty, "state": stateOf(status)},
				[]string{"VERSION", "NEWEST", "STATE"}, []string{fmt.Sprint(status.Version), fmt.Sprint(status.Latest), stateOf(status)})
		},
	}
}

func stateOf(s postgres.MigrationStatus) string {
	switch {
	case s.Dirty:
		return "dirty: a migration failed; see defenderd migrate force --help"
	case s.Version < s.Latest:
		return "behind: run defenderd migrate"
	case s.Version > s.Latest:
		return "ahead of this program"
	}
	return "current"
}

func (p *program) migrateDown() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "down", Usage: "roll the schema back by a number of versions, which deletes data", ArgsUsage: "N",
		Description: "Tells what would be lost, and does it only with --yes. Stop every process of the service first, and make a backup.\n\n" +
			"Example:\n\n    defenderd migrate down 1 --yes",
		Flags: append([]cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "do it"}}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			steps, err := strconv.Atoi(cmd.Args().First())
			if err != nil || steps < 1 || cmd.Args().Len() != 1 {
				return usagef("%q needs the number of versions to go back", cmd.FullName())
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL")
			if err != nil {
				return err
			}
			return p.rollBack(ctx, cfg.DatabaseURL.Reveal(), steps, cmd.Bool("yes"))
		},
	}
}

func (p *program) rollBack(ctx context.Context, dsn string, steps int, agreed bool) error {
	status, err := postgres.SchemaStatus(ctx, dsn)
	if err != nil {
		return err
	}
	if uint(steps) > status.Version {
		return fmt.Errorf("the schema is at version %d and cannot go back by %d", status.Version, steps)
	}
	target := status.Version - uint(steps)
	fmt.Fprintf(p.stdout, "Going back from version %d to %d deletes, for all tenants:\n", status.Version, target)
	for v := status.Version; v > target; v-- {
		fmt.Fprintf(p.stdout, "  %d  %s\n", v, losses[v])
	}
	if !agreed {
		return errors.New("nothing was done; repeat with --yes if that is what you want")
	}
	if status, err = postgres.MigrateDown(ctx, dsn, steps); err != nil {
		return explainDirty(ctx, dsn, err)
	}
	fmt.Fprintf(p.stdout, "The schema is at version %d.\n", status.Version)
	return nil
}

// checkSchema refuses a schema that this program cannot work with. A newer one is fine: an older release keeps running
// while a newer one is rolled out.
func checkSchema(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	status, err := postgres.SchemaStatus(ctx, cfg.DatabaseURL.Reveal())
	switch {
	case err != nil:
		return err
	case status.Dirty:
		return dirty(status)
	case status.Version < status.Latest:
		return fmt.Errorf("the database's schema is at version %d and this program needs %d: run \"defenderd migrate\"", status.Version, status.Latest)
	case status.Version > status.Latest:
		log.Warn("the database's schema is newer than this program", "schema", status.Version, "program", status.Latest)
	}
	return nil
}
