package httpapi

import (
	"net/http"
	"testing"
)

func TestLinesAreForThoseWhoPreferThem(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"application/x-ndjson":                                   true,
		"Application/X-NDJSON":                                   true,
		"application/x-ndjson; charset=utf-8":                    true,
		"application/x-ndjson, application/problem+json":         true,
		"application/x-ndjson, application/json":                 true, // of equals the one that has to be asked for
		"application/json, application/x-ndjson":                 true,
		"application/x-ndjson, */*":                              true,
		"application/x-ndjson;q=0.1":                             true,
		"application/x-ndjson;q=0.5, application/json;q=0.4":     true,
		"application/x-ndjson;q=0.5, application/json;q=0, */*":  true, // the precise range counts
		"text/html, application/x-ndjson;q=0.9, */*;q=0.8":       true,
		"application/x-ndjson;q=0.1, application/json":           false,
		"application/x-ndjson ; Q = 0.1 , application/json":      false,
		"application/json;q=0.5,\tapplication/x-ndjson;\tq=0.25": false,
		"application/x-ndjson;q=0.5, */*":                        false,
		"application/x-ndjson;q=0.5, application/*;q=0.6":        false,
		"application/x-ndjson;q=0":                               false,
		"application/x-ndjson;q=0.000":                           false,
		"application/x-ndjson;q=0, application/json;q=0":         false,
		"application/x-ndjson;q=much":                            false,
		"application/x-ndjson;q=NaN":                             false,
		"application/x-ndjson2":                                  false,
		"application/*":                                          false,
		"*/*":                                                    false,
		"application/json":                                       false,
		",;=/":                                                   false,
		"":                                                       false,
	} {
		r := &http.Request{Method: http.MethodGet, Header: http.Header{"Accept": {accept}}}
		if got := wantsLines(r); got != want {
			t.Errorf("%q: %v", accept, got)
		}
		r.Method = http.MethodHead
		if wantsLines(r) {
			t.Errorf("HEAD with %q", accept)
		}
	}
	twice := http.Header{"Accept": {"application/x-ndjson;q=0.1", "application/json"}}
	if wantsLines(&http.Request{Method: http.MethodGet, Header: twice}) {
		t.Error("the second line of the header is overlooked")
	}
}
