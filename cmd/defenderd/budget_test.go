package main

import (
	"testing"

	"pgp.internal/defender/internal/seal"
)

// TestCallsAreCountedInTheDatabase connects a directory and looks whether what that called is counted where other
// processes see it.
func TestCallsAreCountedInTheDatabase(t *testing.T) {
	t.Parallel()
	environ, _ := connected(t, seal.NewKey().Reveal())
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	var families string
	if err := ownerOf(t, url).QueryRow("select string_agg(family, ' ' order by family) from upstream_quota where application = $1 and directory = $2",
		resealClient, resealDirectory).Scan(&families); err != nil {
		t.Fatal(err)
	}
	if families != "check_token machines vulnerabilities" {
		t.Errorf("counted: %s", families)
	}
}
