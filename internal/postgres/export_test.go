package postgres

import (
	"context"

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

// InTenant does something where the statements of a tenant's method are.
func (s *Store) InTenant(ctx context.Context, id tenant.ID, f func(*sqlx.Tx) error) error {
	return s.inTenant(ctx, id, f)
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

// WalkAtMost lets pages of filtered findings pass over, or sort, so many only.
func (s *Store) WalkAtMost(n int) { s.limits = findingLimits{walk: n, few: n, named: n} }
