package tenant

import (
	"strings"
	"testing"
)

func TestNamesCanBeSeen(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"Contoso": true, "Müller & Söhne": true, "東京": true, " padded ": true, "🛡️"[:4]: true, strings.Repeat("ä", MaxName): true,
		"": false, " ": false, "\u00a0\u3000": false, "\u2800": false, "\u3164": false, strings.Repeat("a", MaxName+1): false, "a\xff": false,
		"a\nb": false, "a\x7f": false, "a\u0085": false, "Cont\u200boso": false, "\u200b": false, "\ufeffContoso": false, "\u202eosotnoC": false,
		"a\u2066b": false, "a\u2028b": false, "a\u00adb": false, "a\ufe0f": false, "a\U000e0041": false,
	} {
		if ValidName(name) != valid {
			t.Errorf("%q: %v, want %v", name, !valid, valid)
		}
	}
}
