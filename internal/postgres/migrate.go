package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/lib/pq"

	"pgp.internal/defender/migrations"
)

// MigrationStatus is where the schema of a database stands.
type MigrationStatus struct {
	Version uint // 0 before the first
	Latest  uint // the newest this program knows
	Dirty   bool // a migration failed half-way; see the operator's manual before forcing anything
}

// Migrate brings the schema of the database at dsn up to this program's version. It connects as dsn's own user, who must
// own the schema. Replicas may call it at once: an advisory lock makes one of them do the work. Processes of the release before go on
// meanwhile: a table that somebody holds is waited for a moment at a time, and not for ever, see [patience].
func Migrate(ctx context.Context, dsn string) (MigrationStatus, error) {
	return migrateUp(ctx, dsn, usualPatience)
}

func migrateUp(ctx context.Context, dsn string, p patience) (MigrationStatus, error) {
	return withMigrator(ctx, dsn, p, func(m *migrate.Migrate) error {
		err := m.Up()
		if errors.Is(err, migrate.ErrNoChange) {
			return nil
		}
		return err
	})
}

// MigrateDown rolls the schema back by steps versions, losing what the newer schema held.
func MigrateDown(ctx context.Context, dsn string, steps int) (MigrationStatus, error) {
	return withMigrator(ctx, dsn, usualPatience, func(m *migrate.Migrate) error { return m.Steps(-steps) })
}

// ForceVersion declares that the schema is at a version after a migration failed and somebody looked what it left behind. It
// runs nothing.
func ForceVersion(ctx context.Context, dsn string, version uint) (MigrationStatus, error) {
	return withMigrator(ctx, dsn, usualPatience, func(m *migrate.Migrate) error {
		if version == 0 {
			return m.Force(database.NilVersion)
		}
		return m.Force(int(version)) //nolint:gosec // a small number
	})
}

// SchemaStatus reads where the schema stands without changing it. A user who is a member of the application's role may do
// that; the migrator itself could not, because it makes its table first.
func SchemaStatus(ctx context.Context, dsn string) (status MigrationStatus, err error) {
	db, err := openPlain(ctx, dsn)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	status.Latest = latestVersion()
	var migrated bool
	if err := db.QueryRowContext(ctx, `select to_regclass('schema_migrations') is not null`).Scan(&migrated); err != nil || !migrated {
		return status, err
	}
	err = db.QueryRowContext(ctx, `select version, dirty from schema_migrations`).Scan(&status.Version, &status.Dirty)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return status, fmt.Errorf("read the migration table: %w", err)
	}
	return status, nil
}

// openPlain connects as dsn's own user, without the role of the service and without its time-outs: an index may take hours to build.
func openPlain(ctx context.Context, dsn string) (*sql.DB, error) {
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be read: %w", err)
	}
	if cfg.Runtime == nil {
		cfg.Runtime = map[string]string{}
	}
	maps.Copy(cfg.Runtime, ownerSettings())
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be used: %w", err)
	}
	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to PostgreSQL: %w", err), db.Close())
	}
	return db, nil
}

// othersMigrate is how long another process may migrate before this one gives up waiting for it: more than its patience.
const othersMigrate = 2 * time.Minute

func withMigrator(ctx context.Context, dsn string, p patience, f func(*migrate.Migrate) error) (status MigrationStatus, err error) {
	db, err := openPlain(ctx, dsn)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	source, err := iofs.New(migrations.Files, ".")
	if err != nil {
		return status, err
	}
	target, err := newPatientDriver(ctx, db, p)
	if err != nil {
		return status, err
	}
	m, err := migrate.NewWithInstance("embedded", source, "postgres", target)
	if err != nil {
		return status, err
	}
	m.LockTimeout = othersMigrate
	defer func() { _, closeErr := m.Close(); err = errors.Join(err, ignoreClosed(closeErr)) }()
	if err := f(m); err != nil {
		return status, fmt.Errorf("migrate: %w", withoutQuery(err))
	}
	status.Version, status.Dirty, err = m.Version()
	if errors.Is(err, migrate.ErrNilVersion) {
		err = nil
	}
	status.Latest = latestVersion()
	return status, err
}

// withoutQuery drops the text of the whole migration, which the library puts in front of what the server said.
func withoutQuery(err error) error {
	var refused database.Error
	var pointed *database.Error // both are returned there
	if errors.As(err, &pointed) {
		refused = *pointed
	} else if !errors.As(err, &refused) {
		return err
	}
	if refused.OrigErr != nil {
		return refused.OrigErr
	}
	return err
}

func ignoreClosed(err error) error {
	if err != nil && strings.Contains(err.Error(), "already closed") {
		return nil
	}
	return err
}

// latestVersion is the highest number among the embedded files.
func latestVersion() uint {
	entries, err := migrations.Files.ReadDir(".")
	if err != nil {
		return 0
	}
	var latest uint
	for _, e := range entries {
		var n uint
		if _, err := fmt.Sscanf(e.Name(), "%06d_", &n); err == nil {
			latest = max(latest, n)
		}
	}
	return latest
}
