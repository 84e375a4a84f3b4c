package postgres_test

import (
	"database/sql"
	"database/sql/driver"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
)

// TestValuesGoIntoRowsByTheirTypes puts everything that the driver gives into everything that rows have, and sees that what does not fit
// is refused and not bent.
func TestValuesGoIntoRowsByTheirTypes(t *testing.T) {
	t.Parallel()
	moment, id := time.Unix(1780000000, 0), uuid.New()
	for _, c := range []struct {
		value driver.Value
		want  any
	}{
		{"text", "text"}, {[]byte("bytes"), "bytes"}, {"active", inventory.AssetActive}, {int64(1) << 40, int64(1) << 40}, {int64(-7), int32(-7)}, {int64(7), 7},
		{[]byte("12"), 12}, {int64(inventory.SeverityCritical), inventory.SeverityCritical}, {int64(inventory.FromRow), inventory.FromRow},
		{int64(inventory.VectorNetwork), inventory.VectorNetwork}, {int64(inventory.FindingOpen), inventory.FindingOpen},
		{true, true}, {moment, moment}, {0.5, 0.5}, {[]byte("0.5"), 0.5}, {true, new(true)}, {nil, (*bool)(nil)}, {[]byte("raw"), []byte("raw")}, {nil, []byte(nil)},
		{[]byte(id.String()), id}, {[]byte("{a,b}"), pq.StringArray{"a", "b"}}, {nil, sql.NullTime{}}, {moment, sql.NullTime{Time: moment, Valid: true}},
	} {
		into := reflect.New(reflect.TypeOf(c.want))
		if err := postgres.Put(into.Interface(), c.value); err != nil || !reflect.DeepEqual(into.Elem().Interface(), c.want) {
			t.Errorf("%T %v into %T: %v, %v", c.value, c.value, c.want, into.Elem(), err)
		}
	}
	for _, c := range []struct {
		into  any
		value driver.Value
	}{
		{new(string), nil}, {new(string), int64(1)}, {new(int), nil}, {new(int), "1"}, {new(int), []byte("1.5")}, {new(int32), int64(math.MaxInt32 + 1)},
		{new(inventory.Severity), int64(128)}, {new(bool), nil}, {new(bool), "t"}, {new(time.Time), nil}, {new(time.Time), []byte("infinity")}, {new(float64), int64(1)},
		{new(float64), []byte("x")}, {new(*bool), int64(1)}, {new([]byte), "text"}, {new(uuid.UUID), nil}, {new(uuid.UUID), []byte("x")}, {new(uint), int64(1)}, {new(pq.StringArray), int64(1)},
	} {
		if err := postgres.Put(c.into, c.value); err == nil {
			t.Errorf("%T %v went into %T", c.value, c.value, c.into)
		}
	}
}

// TestBytesOutliveTheirRow changes what the driver reads the next row into.
func TestBytesOutliveTheirRow(t *testing.T) {
	t.Parallel()
	var kept []byte
	var text string
	var list pq.StringArray
	read := []byte("{abc}")
	for _, into := range []any{&kept, &text, &list} {
		if err := postgres.Put(into, read); err != nil {
			t.Fatal(err)
		}
	}
	copy(read, "xxxxx")
	if string(kept) != "{abc}" || text != "{abc}" || list[0] != "abc" {
		t.Errorf("kept %q, %q, %q", kept, text, list)
	}
}
