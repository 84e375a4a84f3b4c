package inventory_test

import (
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

func TestSearchText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "",
		" .-_%\\'\"":              "",
		"WS-00499.Corp.Contoso":   "ws 00499 corp contoso ",
		"10.0.0.5":                "10 0 0 5 ",
		"fd00::5":                 "fd00 5 ",
		"_web__01_":               "web 01 ",
		"BÜRO-Straße":             "büro straße ",
		"ΑΘΗΝΑ ПК":                "αθηνα пк ",
		"cafe\u0301 \u4e2d\u6587": "cafe\u0301 \u4e2d\u6587 ",
		"a\x00b\xffc":             "a b c ",
	} {
		if got := inventory.SearchText(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestSearchTerms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                       nil,
		"% _ --":                 nil,
		"Web":                    {"web"},
		"  web\t01\u00a0corp ":   {"web", "01", "corp"},
		"WS-004":                 {"ws 004"},
		"ws-":                    {"ws "},
		".corp":                  {"corp"},
		"10.1.2.":                {"10 1 2 "},
		"microsoft & windows":    {"microsoft", "windows"},
		`50%_\'x`:                {"50 x"},
		strings.Repeat("ä", 150): {strings.Repeat("ä", 100)},
	} {
		if got := inventory.SearchTerms(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
