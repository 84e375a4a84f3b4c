package tenant

import (
	"strings"
	"testing"
)

func TestAccountsThatCanBeNamed(t *testing.T) {
	t.Parallel()
	for account, valid := range map[string]bool{
		"": true, "it@contoso.example": true, "tnt": true, strings.Repeat("a", MaxAccount): true, strings.Repeat("a", MaxAccount+1): false,
		"a b": false, "ü@contoso.example": false, "a\n": false, "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b": false, "TNT_x": false,
	} {
		if ValidAccount(account) != valid {
			t.Errorf("%q: %v, want %v", account, !valid, valid)
		}
	}
}
