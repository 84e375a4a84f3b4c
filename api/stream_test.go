package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgp.internal/defender/api"
)

// TestAStreamIsCompleteOnlyWithItsEnd serves answers that end regularly as HTTP, whatever their last line is.
func TestAStreamIsCompleteOnlyWithItsEnd(t *testing.T) {
	t.Parallel()
	const item = `{"id":"fnd_1","hostname":"\"_end\"","tags":["_end"]}` + "\n"
	for name, c := range map[string]struct {
		body  string
		items int
		want  string // within the error; empty for none
	}{
		"whole":             {item + item + `{"_end":true,"count":2}` + "\n", 2, ""},
		"empty":             {`{"_end":true,"count":0}`, 0, ""},
		"spelt differently": {item + `{ "count": 1, "_end" : true }`, 1, ""},
		"no end":            {item + item, 2, "broke off"},
		"nothing at all":    {"", 0, "broke off"},
		"cut in an item":    {item + item[:9], 1, "EOF"},
		"cut in the end":    {item + `{"_end":true,"cou`, 1, "EOF"},
		"items are missing": {item + `{"_end":true,"count":2}`, 1, "1 items came of 2"},
		"goes on":           {item + `{"_end":true,"count":1}` + item, 1, "follows the end"},
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			_, _ = fmt.Fprint(w, c.body)
		})
		var last error
		items := 0
		for _, err := range clientOf(server).StreamFindings(t.Context(), api.ListFindingsOptions{}) {
			if last = err; err == nil {
				items++
			}
		}
		if items != c.items || (last == nil) != (c.want == "") || last != nil && !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s: %d items, then %v", name, items, last)
		}
	}
}
