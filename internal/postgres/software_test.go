package postgres_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// The longest names a source hands over, 512 bytes each, fit the index even if they cannot be compressed.
func TestTheLongestSoftwareNamesAreNumbered(t *testing.T) {
	t.Parallel()
	noise := func() string {
		b := make([]byte, 256)
		_, _ = rand.Read(b) // never fails
		return hex.EncodeToString(b)
	}
	longest := syncer.Software{Vendor: noise(), Product: noise(), Version: noise()}
	store := postgrestest.New(t)
	ids, err := store.SoftwareIDs(t.Context(), []syncer.Software{longest, {Vendor: "v", Product: "p", Version: "1"}, longest})
	if err != nil || len(ids) != 3 || ids[0] != ids[2] || ids[0] == ids[1] {
		t.Fatalf("%v, %v", ids, err)
	}
}
