package conformance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// object is a JSON object without a type: a check names the members it is about.
type object = map[string]any

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	broken error // the connection ended before the answer did
}

// object decodes the body; numbers are float64.
func (a answer) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("status %d, no JSON object: %v, %v: %.300q", a.status, err, a.broken, a.body)
	}
	return o
}

// at is the member at a path such as "error.code"; nil when there is none.
func (a answer) at(t *testing.T, path string) any {
	t.Helper()
	return at(a.object(t), path)
}

// at looks below an object. Names with a dot of their own, such as @odata.count, are members of the top: ask the object.
func at(o object, path string) any {
	var here any = o
	for _, name := range strings.Split(path, ".") {
		below, ok := here.(object)
		if !ok {
			return nil
		}
		here = below[name]
	}
	return here
}

// text is the text at a path; "" when there is none.
func (a answer) text(t *testing.T, path string) string {
	t.Helper()
	text, _ := a.at(t, path).(string)
	return text
}

// rows are the objects of a collection.
func (a answer) rows(t *testing.T) []object {
	t.Helper()
	list, ok := a.object(t)["value"].([]any)
	if !ok || a.status != http.StatusOK {
		t.Fatalf("status %d, no collection: %.300q", a.status, a.body)
	}
	rows := make([]object, len(list))
	for i, v := range list {
		if rows[i], ok = v.(object); !ok {
			t.Fatalf("row %d is no object: %v", i, v)
		}
	}
	return rows
}

// nextLink is the address of the next page; "" on the last one.
func (a answer) nextLink(t *testing.T) string {
	t.Helper()
	link, _ := a.object(t)["@odata.nextLink"].(string)
	return link
}

// want fails unless the API refused with this status and code. An empty code stands for an ordinary answer.
func (a answer) want(t *testing.T, status int, code string) answer {
	t.Helper()
	if a.broken != nil || a.status != status {
		t.Fatalf("status %d, %v, want %d: %.300q", a.status, a.broken, status, a.body)
	}
	if code != "" && a.text(t, "error.code") != code {
		t.Fatalf("code %q, want %q: %.300q", a.text(t, "error.code"), code, a.body)
	}
	return a
}

// keys are the member names of an object, in order.
func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }

// rolesOf are the roles among a token's claims.
func rolesOf(c object) (roles []string) {
	list, _ := c["roles"].([]any)
	for _, v := range list {
		role, _ := v.(string)
		roles = append(roles, role)
	}
	return roles
}
