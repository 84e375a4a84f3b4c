package tenant

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

func TestRoleIncludes(t *testing.T) {
	cases := []struct {
		have, need Role
		want       bool
	}{
		{Admin, ReadOnly, true}, {Admin, Admin, true}, {Analyst, Analyst, true}, {Analyst, Admin, false},
		{ReadOnly, Analyst, false}, {"owner", ReadOnly, false}, {Admin, "owner", false}, {"", "", false},
	}
	for _, c := range cases {
		if got := c.have.Includes(c.need); got != c.want {
			t.Errorf("%q.Includes(%q) = %v, want %v", c.have, c.need, got, c.want)
		}
	}
}

func TestEntitlementDaysAreInclusive(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	e := Entitlement{InternalAssessments: true, ValidFrom: day("2026-03-01"), ValidUntil: day("2026-03-31")}
	cases := map[string]bool{
		"2026-02-28T23:59:59Z": false, "2026-03-01T00:00:00Z": true, "2026-03-31T23:59:59Z": true, "2026-04-01T00:00:00Z": false,
		"2026-03-31T23:30:00-02:00": false, // already April in UTC
	}
	for at, want := range cases {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Effective(now); got != want {
			t.Errorf("at %s: %v, want %v", at, got, want)
		}
	}
	if (Entitlement{}).Effective(day("2026-03-05")) {
		t.Error("without the entitlement nothing is effective")
	}
	if !(Entitlement{InternalAssessments: true}).Effective(day("2026-03-05")) {
		t.Error("open dates mean always")
	}
}

func TestKeysAreDistinctAndRecognised(t *testing.T) {
	a, b := NewKey(), NewKey()
	if a.Equal(b) {
		t.Fatal("two keys are equal")
	}
	if !LooksLikeKey(a) || LooksLikeKey(seal.NewSecret(a.Reveal()+"x")) || LooksLikeKey(seal.NewSecret("pgpd_")) || LooksLikeKey(seal.Secret{}) {
		t.Fatal("LooksLikeKey is wrong")
	}
	if KeyHint(b) != b.Reveal()[len(b.Reveal())-4:] {
		t.Fatal("the hint does not belong to the key")
	}
}

func TestThePlatformIncludesNothingAndIsInNothing(t *testing.T) {
	t.Parallel()
	for _, role := range []Role{ReadOnly, Analyst, Admin} {
		if Platform.Includes(role) || role.Includes(Platform) || !role.Valid() {
			t.Errorf("the platform and %s", role)
		}
	}
	if !Platform.Includes(Platform) || !Platform.Valid() || Role("").Valid() || Role("root").Valid() {
		t.Error("which roles there are is wrong")
	}
}

func TestPublicText(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("019a1b2c-3d4e-7f50-8a9b-0c1d2e3f4a5b")
	if got := PublicText(TenantPrefix, id); got != "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b" {
		t.Error(got)
	}
}
