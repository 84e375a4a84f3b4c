package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/postgres"
)

// migrateSchema brings the schema up to date, and names the way on if a migration fails or has failed before.
func migrateSchema(ctx context.Context, dsn string) (postgres.MigrationStatus, error) {
	status, err := postgres.Migrate(ctx, dsn)
	if err != nil {
		return status, explainDirty(ctx, dsn, err)
	}
	return status, nil
}

func explainDirty(ctx context.Context, dsn string, err error) error {
	status, statusErr := postgres.SchemaStatus(ctx, dsn)
	if statusErr != nil || !status.Dirty {
		return err
	}
	return fmt.Errorf("%w\n%w", err, dirty(status))
}

// dirty says how to go on after a failed migration. PostgreSQL undoes a migration that fails as a whole, so the schema is
// where it was before.
func dirty(status postgres.MigrationStatus) error {
	return fmt.Errorf("the database's schema is dirty: the migration to version %d failed, and what it had done was undone. Mend the cause, then run\n"+
		"  defenderd migrate force %d --yes\n  defenderd migrate\n(after a failed \"migrate down\" it is \"force %d\"; see \"defenderd migrate force --help\")",
		status.Version, max(status.Version, 1)-1, status.Version+1)
}

func (p *program) migrateForce() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "force", Usage: "declare at which version the schema is after a migration failed; changes nothing else", ArgsUsage: "VERSION",
		Description: "A migration that fails leaves the schema marked as dirty, and nothing starts or migrates until somebody has looked. The\n" +
			"database undoes a failed migration as a whole, so after a failed \"migrate\" VERSION is the one before the failed one, and\n" +
			"after a failed \"migrate down\" the one it began with; \"migrate status\" shows the version it was on the way to. Does it only\n" +
			"with --yes, only if the schema is dirty, and only for a neighbour of that version or that version itself.\n\n" +
			"Example:\n\n    defenderd migrate force 3 --yes",
		Flags: append([]cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "do it"}}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			version, err := strconv.ParseUint(cmd.Args().First(), 10, 16)
			if err != nil || cmd.Args().Len() != 1 {
				return usagef("%q needs the version that the schema is at", cmd.FullName())
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL")
			if err != nil {
				return err
			}
			return p.force(ctx, cfg.DatabaseURL.Reveal(), uint(version), cmd.Bool("yes"))
		},
	}
}

func (p *program) force(ctx context.Context, dsn string, version uint, agreed bool) error {
	status, err := postgres.SchemaStatus(ctx, dsn)
	if err != nil {
		return err
	}
	switch {
	case !status.Dirty:
		return fmt.Errorf("the schema is at version %d and not dirty; there is nothing to force", status.Version)
	case version+1 < status.Version || version > status.Version+1 || version > status.Latest:
		return fmt.Errorf("the schema was on the way to version %d; it cannot be at %d", status.Version, version)
	}
	fmt.Fprintf(p.stdout, "The schema was on the way to version %d and is declared to be at version %d.\n", status.Version, version)
	if !agreed {
		return errors.New("nothing was done; repeat with --yes if that is so")
	}
	_, err = postgres.ForceVersion(ctx, dsn, version)
	return err
}
