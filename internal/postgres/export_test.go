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

// WalkAtMost lets pages of filtered findings pass over, or sort, so many only.
func (s *Store) WalkAtMost(n int) { s.limits = findingLimits{walk: n, few: n, named: n} }
