package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
)

type wholeKey struct{}

// withWholeRows makes a query give each row as one value, which a [wholeRow] takes. database/sql finds out anew for each value how to bring
// it from one type to another, numbers by way of texts; a page has thousands of values, and their types are known.
func withWholeRows(ctx context.Context) context.Context {
	return context.WithValue(ctx, wholeKey{}, true)
}

// wholeRows have one column with all values of the row, which are good until the next row is asked for.
type wholeRows struct {
	rows   driver.Rows
	values []driver.Value
}

// inWhole gives rows the way their context asks for.
func inWhole(ctx context.Context, rows driver.Rows) driver.Rows {
	if ctx.Value(wholeKey{}) == nil {
		return rows
	}
	return &wholeRows{rows: rows, values: make([]driver.Value, len(rows.Columns()))}
}

// Columns is the name of the one column.
func (w *wholeRows) Columns() []string { return []string{"row"} }

// Close ends the query.
func (w *wholeRows) Close() error { return w.rows.Close() }

// Next reads a row.
func (w *wholeRows) Next(row []driver.Value) error {
	row[0] = &w.values
	return w.rows.Next(w.values)
}

// wholeRow says where each column of a row goes.
type wholeRow []any

// Scan puts the values of a row where they go.
func (w wholeRow) Scan(row any) error {
	values, ok := row.(*[]driver.Value)
	if !ok || len(*values) != len(w) {
		return fmt.Errorf("%w: a row into %d columns", errMisfit, len(w))
	}
	for i, value := range *values {
		if err := put(w[i], value); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

var errMisfit = errors.New("the value does not fit")

// put stores a value that the driver has read: a whole number, a fraction, a text, a flag, a time, nothing, or the bytes of anything else. They
// are gone with the next row.
func put(into any, value driver.Value) error {
	switch into := into.(type) {
	case *string:
		return putText(into, value)
	case *inventory.AssetState:
		return putText(into, value)
	case *int64:
		return putNumber(into, value)
	case *int32:
		return putNumber(into, value)
	case *int:
		return putNumber(into, value)
	case *inventory.Severity:
		return putNumber(into, value)
	case *inventory.SeveritySource:
		return putNumber(into, value)
	case *inventory.AttackVector:
		return putNumber(into, value)
	case *inventory.FindingState:
		return putNumber(into, value)
	case *bool:
		return putSame(into, value)
	case *time.Time:
		return putSame(into, value)
	case *float64:
		return putFraction(into, value)
	case **bool:
		return putOptional(into, value)
	case *[]byte:
		return putBytes(into, value)
	case *uuid.UUID:
		return putUUID(into, value)
	case sql.Scanner:
		return into.Scan(value)
	}
	return fmt.Errorf("%w: there is no way into a %T", errMisfit, into)
}

func putSame[T any](into *T, value driver.Value) error {
	same, ok := value.(T)
	if !ok {
		return misfit(into, value)
	}
	*into = same
	return nil
}

func putOptional[T any](into **T, value driver.Value) error {
	if value == nil {
		*into = nil
		return nil
	}
	*into = new(T)
	return putSame(*into, value)
}

func putText[T ~string](into *T, value driver.Value) error {
	switch text := value.(type) {
	case string:
		*into = T(text)
	case []byte:
		*into = T(text)
	default:
		return misfit(into, value)
	}
	return nil
}

func putNumber[T ~int | ~int8 | ~int32 | ~int64](into *T, value driver.Value) (err error) {
	number, ok := value.(int64)
	if text, isText := value.([]byte); isText { // of a decimal, which sums are
		number, err = strconv.ParseInt(string(text), 10, 64)
		ok = err == nil
	}
	if *into = T(number); !ok || int64(*into) != number {
		return misfit(into, value)
	}
	return nil
}

func putFraction(into *float64, value driver.Value) (err error) {
	if text, ok := value.([]byte); ok { // of a decimal
		*into, err = strconv.ParseFloat(string(text), 64)
		return err
	}
	return putSame(into, value)
}

func putBytes(into *[]byte, value driver.Value) error {
	if value == nil {
		*into = nil
		return nil
	}
	if err := putSame(into, value); err != nil {
		return err
	}
	*into = bytes.Clone(*into)
	return nil
}

func putUUID(into *uuid.UUID, value driver.Value) (err error) {
	text, ok := value.([]byte)
	if !ok {
		return misfit(into, value)
	}
	*into, err = uuid.ParseBytes(text)
	return err
}

func misfit(into any, value driver.Value) error {
	return fmt.Errorf("%w: a %T into a %T", errMisfit, value, into)
}
