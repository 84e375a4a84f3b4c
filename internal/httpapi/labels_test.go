package httpapi

import (
	"strings"
	"testing"

	"pgp.internal/defender/api"
)

// TestLabelsHoldWhatMicrosoftsHold: a label is longer than a name may be, and may hold what nobody sees.
func TestLabelsHoldWhatMicrosoftsHold(t *testing.T) {
	t.Parallel()
	rules := newRules()
	for label, valid := range map[string]bool{strings.Repeat("ä", 200): true, "Cont\u200boso": true, "a\nb": false, strings.Repeat("ä", 201): false} {
		s := api.SettingsInput{DeviceGroups: []string{label}, TagsInclude: []string{label}, TagsExclude: []string{label}}
		if err := rules.Struct(s); (err == nil) != valid {
			t.Errorf("%q: %v", label, err)
		}
	}
}
