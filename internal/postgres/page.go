package postgres

import (
	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// cut shortens a result that was read with one row too many to the page, and gives the position of the next page if that
// extra row was there.
func cut[T any](items []T, limit int, position func(T) inventory.Position) ([]T, inventory.Position) {
	if len(items) <= limit {
		return items, nil
	}
	items = items[:limit]
	return items, position(items[limit-1])
}

// afterID reads the position of a list that is ordered by public id alone.
func afterID(p inventory.Position) (uuid.UUID, error) {
	if p == nil {
		return uuid.Nil, nil
	}
	if len(p) != 1 {
		return uuid.Nil, fault.New(fault.CodeInvalidCursor, "")
	}
	id, err := uuid.Parse(p[0])
	if err != nil {
		return uuid.Nil, fault.New(fault.CodeInvalidCursor, "")
	}
	return id, nil
}
