package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/tenant"
)

// ShortlistSize is how many rows a list sorts at most for one page.
const ShortlistSize = shortlistSize

// AssetWords and WordVector are what an import stores for the text search.
var (
	AssetWords = assetWords
	WordVector = wordVector
)

// Put stores what the driver has read where a row wants it.
var Put = put

// UsualAddresses and UsualCloud read the layout that there usually is, AnyAddresses and AnyCloud any.
var (
	UsualAddresses = usualAddresses
	AnyAddresses   = anyAddresses
	UsualCloud     = usualCloud
	AnyCloud       = anyCloud
)

// InTenant does something where the statements of a tenant's method are.
func (s *Store) InTenant(ctx context.Context, id tenant.ID, f func(*sqlx.Tx) error) error {
	return s.inTenant(ctx, id, f)
}

// Quoted is an argument as the call of a prepared statement has it in its text.
func Quoted(argument any) (string, error) {
	value, err := driver.DefaultParameterConverter.ConvertValue(argument)
	if err != nil {
		return "", err
	}
	return quoted(value)
}

// Alone reads one text with a query that runs alone.
func (s *Store) Alone(ctx context.Context, id tenant.ID, query string, args ...any) (text string, err error) {
	err = s.readAlone(ctx, id, func(q queryer) error {
		texts, err := collect(ctx, q, func(t *string) []any { return []any{t} }, prepared+query, args...)
		if len(texts) > 0 {
			text = texts[0]
		}
		return err
	})
	return text, err
}

// WalkAtMost lets pages of filtered findings and events pass over, or sort, so many only.
func (s *Store) WalkAtMost(n int) {
	s.limits = listLimits{walk: n, few: n, named: n, events: n, batch: s.limits.batch}
}

// StreamInBatchesOf lets streams read so many findings in one transaction.
func (s *Store) StreamInBatchesOf(n int) { s.limits.batch = n }

// MigrateWithin is Migrate with so much patience.
func MigrateWithin(ctx context.Context, dsn string, wait, pause time.Duration, tries int) (MigrationStatus, error) {
	return migrateUp(ctx, dsn, patience{wait: wait, pause: pause, tries: tries})
}

// MigrationSettings shows settings of the connection that migrates, while it does.
func MigrationSettings(ctx context.Context, dsn string, show func(*sql.Conn)) error {
	db, err := openPlain(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	d, err := newPatientDriver(ctx, db, usualPatience)
	if err != nil {
		return err
	}
	if err := d.Lock(); err != nil {
		return err
	}
	show(d.conn)
	return errors.Join(d.Unlock(), d.Close())
}
