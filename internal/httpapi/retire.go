package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retirement is what a deprecated operation tells with each answer.
type retirement struct {
	since time.Time
	end   time.Time // after which it may be gone; zero while that is open
	link  string    // what to use instead
}

// announce sets the headers of RFC 9745 and RFC 8594; of an operation that stays it does nothing.
func (t retirement) announce(h http.Header) {
	if t.since.IsZero() {
		return
	}
	h.Set("Deprecation", "@"+strconv.FormatInt(t.since.Unix(), 10))
	h.Set("Link", "<"+t.link+`>; rel="deprecation"; type="text/html"`)
	if !t.end.IsZero() {
		h.Set("Sunset", t.end.UTC().Format(http.TimeFormat))
	}
}

// retirements reads from the contract which operations are deprecated, by method and path. It panics if one does not say since
// when, or ends before that: the contract is compiled in.
func retirements(contract []byte) map[string]retirement {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(contract, &doc); err != nil {
		panic("httpapi: the contract cannot be read: " + err.Error())
	}
	all := map[string]retirement{}
	for path, members := range doc.Paths {
		for method, member := range members {
			if method == "parameters" {
				continue
			}
			var op struct {
				Deprecated bool
				Since      time.Time `json:"x-deprecated-since"`
				End        time.Time `json:"x-sunset"`
			}
			name := strings.ToUpper(method) + " " + path
			if err := json.Unmarshal(member, &op); err != nil {
				panic("httpapi: the contract's " + name + " cannot be read: " + err.Error())
			}
			if !op.Deprecated {
				continue
			}
			if op.Since.IsZero() || !op.End.IsZero() && op.End.Before(op.Since) {
				panic("httpapi: the contract's " + name + " is deprecated and does not say since when, or ends before that")
			}
			all[name] = retirement{since: op.Since, end: op.End, link: "/docs"}
		}
	}
	return all
}
