package main

import (
	"os"
	"strings"
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestTroubleshootingIsTheCatalogue holds the page for docs against the catalogue: each code once, with all that is known.
func TestTroubleshootingIsTheCatalogue(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	got := must(t, nil, "help", "problems")
	if got != string(want) {
		t.Error("docs/troubleshooting.md is out of date: make docs")
	}
	for _, d := range fault.Definitions() {
		if n := strings.Count(got, "| `"+d.Code+"` | "+d.Title+" | "+d.Cause+" | "+d.Remedy+" | "+actors[d.Actor]+" |"); n != 1 || actors[d.Actor] == "" {
			t.Errorf("%s is there %d times", d.Code, n)
		}
	}
	for _, e := range syncer.Explanations() {
		if n := strings.Count(got, "| `"+e.Code+"` | "+e.Title+" | "+e.Detail+" | "+e.Remedy+" | "+actors[e.Acts]+" |"); n != 1 || actors[e.Acts] == "" {
			t.Errorf("%s is there %d times", e.Code, n)
		}
	}
	at := 0
	for _, words := range []string{`"Failed to get access token"`, `"Access denied"`, `"Insufficient privileges"`, "nothing was imported", "time-outs and API errors"} {
		next := strings.Index(got, words)
		if next <= at {
			t.Errorf("%s is missing, or not in the order of the help article", words)
		}
		at = next
	}
}
