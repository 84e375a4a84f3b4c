package tenant

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestAccountsThatCanBeNamed(t *testing.T) {
	t.Parallel()
	for account, valid := range map[string]bool{
		"": true, "it@contoso.example": true, "tnt": true, strings.Repeat("a", MaxAccount): true, strings.Repeat("a", MaxAccount+1): false,
		"a b": false, "ü@contoso.example": false, "a\n": false, "a\x7f": false, "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b": false, "TNT_x": false, "*": false, "*@contoso.example": true,
	} {
		if ValidAccount(account) != valid {
			t.Errorf("%q: %v, want %v", account, !valid, valid)
		}
	}
}

func TestTenantsAnswerToIdAndAccountInAnyCase(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("019a1b2c-3d4e-7f50-8a9b-0c1d2e3f4a5b")
	plain, with := Tenant{PublicID: id}, Tenant{PublicID: id, Account: "IT@contoso.example"}
	for name, want := range map[string][2]bool{
		"tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b": {true, true}, "TNT_019A1B2C3D4E7F508A9B0C1D2E3F4A5B": {true, true}, "it@CONTOSO.example": {false, true},
		"": {}, "*": {}, "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5c": {}, "019a1b2c3d4e7f508a9b0c1d2e3f4a5b": {},
	} {
		if got := [2]bool{plain.Answers(name), with.Answers(name)}; got != want {
			t.Errorf("%q: without and with an account %v, want %v", name, got, want)
		}
	}
}

// TestNamesFoldLettersOfASCIIOnly is about those that Unicode takes for the same as k and s, and that no tenant's name has.
func TestNamesFoldLettersOfASCIIOnly(t *testing.T) {
	t.Parallel()
	ours := Tenant{Account: "desk@contoso.example"}
	for name, answers := range map[string]bool{
		"desk@contoso.example": true, "DESK@Contoso.example": true, "des\u212a@contoso.example": false, "de\u017fk@contoso.example": false, "": false, "desk": false,
	} {
		if ours.Answers(name) != answers {
			t.Errorf("%q: %v", name, !answers)
		}
	}
	if SameName("\u212a", "\u212a") {
		t.Error("two names that are none are one")
	}
}
